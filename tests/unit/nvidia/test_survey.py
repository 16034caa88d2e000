"""What the role finds on a host: judged by what hosts looked like, each right or refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import ROOT, load

survey: Any = load("roles/nvidia/files/survey.py")

MATRIX = yaml.safe_load((ROOT / "roles/nvidia/files/matrix.yml").read_text())
WISH = survey.Wish(580, ("debian13", "ubuntu2404"), MATRIX)
KERNEL, NEWER = "6.12.107+deb13-cloud-amd64", "6.12.118+deb13-cloud-amd64"
VERSION = "580.105.08"
L4, T4, V100, H100, B200, B300 = 0x27B8, 0x1EB8, 0x1DB1, 0x2330, 0x2901, 0x3182
SMI = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>{}</nvidia_smi_log>"""
GPU = "<gpu id='{}'><mig_mode><current_mig>{}</current_mig><pending_mig>{}</pending_mig></mig_mode></gpu>"
WITHOUT_MIG = GPU.format("00000000:01:00.0", "N/A", "N/A")
WORKS = survey.Answer(0, SMI.format(WITHOUT_MIG))
SILENT = survey.Answer(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
MISMATCH = survey.Answer(
    18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.105\n"
)
BUILT = f"nvidia/{VERSION}, {{}}, x86_64: installed"


def card(device: int) -> Any:
    return survey.Card("0000:01:00.0", device)


def packages(version: str = VERSION, *, held: bool = False, suite: str = "debian13") -> tuple[Any, ...]:
    names = [name.partition("=")[0] for name in survey.wanted(suite, 580)]
    return tuple(survey.Package(name, f"{version}-1", held) for name in names)


FRESH = survey.Host("debian13", KERNEL, (KERNEL,), (card(L4),))
INSTALLED = replace(
    FRESH, packages=packages(held=True), ours=True, smi=SILENT, dkms=survey.Answer(0, BUILT.format(KERNEL))
)
LOADED = replace(INSTALLED, loaded=VERSION, smi=WORKS)
VENDOR = replace(FRESH, packages=packages(), loaded=VERSION, smi=WORKS)


def findings(host: Any = FRESH, wish: Any = WISH) -> Any:
    return survey.judge(host, wish)


def test_a_fresh_host_gets_the_driver() -> None:
    found = findings()
    assert (found.refusal, found.vendor, found.load, found.reboot, found.broken) == (None, False, False, None, None)
    assert found.packages == ["nvidia-kernel-open-dkms=580.*", "nvidia-driver-cuda=580.*", "nvidia-persistenced=580.*"]
    assert (found.flavour, found.newest) == ("cloud-amd64", KERNEL)


@pytest.mark.parametrize(
    ("branch", "names"),
    [
        (580, ["nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580", "nvidia-compute-utils-580"]),
        (595, ["nvidia-dkms-open", "libnvidia-compute", "nvidia-utils", "nvidia-persistenced"]),
    ],
)
def test_ubuntu_names_the_branch_until_590(branch: int, names: list[str]) -> None:
    host = replace(FRESH, suite="ubuntu2404", running="6.8.0-101-generic")
    found = findings(host, replace(WISH, branch=branch))
    assert found.packages == [f"{name}={branch}.*" for name in names]


@pytest.mark.parametrize(
    ("host", "wish", "says"),
    [
        (replace(FRESH, cards=()), WISH, "there is no NVIDIA card"),
        (
            replace(FRESH, cards=(card(L4), card(V100))),
            WISH,
            r"10de:1db1\) is of generation Volta, too old for vLLM 0.32",
        ),
        (replace(FRESH, cards=(card(0x3FFF),)), WISH, r"10de:3fff\) is in no row"),
        (FRESH, replace(WISH, branch=570), "nvidia_branch: 570 is older than 580"),
        (replace(FRESH, suite="debian12"), WISH, "debian12 is none of debian13, ubuntu2404"),
        (replace(FRESH, secure_boot=True), WISH, "secure boot is on"),
        (
            replace(FRESH, packages=packages("550.163.01", held=True)),
            WISH,
            "somebody holds nvidia-kernel-open-dkms 550",
        ),
        (
            replace(FRESH, packages=(survey.Package("libcuda1", "550.163.01-2", held=True),)),
            WISH,
            "somebody holds libcuda1",
        ),
        (replace(FRESH, runfile=True, loaded="550.54.15", smi=WORKS), WISH, "run nvidia-uninstall"),
        (
            replace(FRESH, packages=(survey.Package("nvidia-open-kernel-dkms", "550.163.01-2", half=True),)),
            WISH,
            "run apt-get remove nvidia-open-kernel-dkms",
        ),
        (replace(FRESH, kernels=()), WISH, "no kernel is installed"),
        (replace(FRESH, running="6.18-fc"), WISH, "6.18-fc is not one that debian13 has headers for"),
        (replace(VENDOR, cards=(card(V100),)), WISH, "too old"),
        (replace(LOADED, suite="debian14"), WISH, "debian14 is none of"),  # upgraded with our driver on it
    ],
)
def test_what_cannot_be_ends_in_one_line(host: Any, wish: Any, says: str) -> None:
    refusal = findings(host, wish).refusal
    assert refusal is not None
    assert "\n" not in refusal
    assert re.search(says, refusal)


@pytest.mark.parametrize(
    "host",
    [
        replace(FRESH, secure_boot=True, key_enrolled=True),
        replace(FRESH, packages=packages("550.163.01")),  # an older one that nobody holds gives way
        replace(FRESH, packages=packages(held=True)),
        replace(FRESH, packages=(survey.Package("nvidia-container-toolkit", "1.18.0-1", held=True),)),
        replace(FRESH, packages=(survey.Package("systemd", "257.9-1~deb13u1", held=True),)),
        replace(INSTALLED, packages=packages("590.48.01", held=True)),  # our own hold, when the branch changes
        replace(LOADED, runfile=True),
        replace(INSTALLED, packages=tuple(replace(package, half=True) for package in packages())),  # cut off: again
        *(replace(FRESH, cards=(card(device),)) for device in (T4, H100, B200, B300)),
    ],
)
def test_what_can_be_is_not_refused(host: Any) -> None:
    found = findings(host)
    assert (found.refusal, found.vendor) == (None, False)


@pytest.mark.parametrize(
    ("host", "vendor"),
    [
        (VENDOR, True),
        (replace(VENDOR, loaded="590.48.01"), True),
        # What would be refused is no matter where nothing is to be built.
        (replace(VENDOR, suite="ubuntu2204", secure_boot=True, kernels=(), running="6.8.0-xyz", runfile=True), True),
        (replace(VENDOR, packages=packages("590.48.01", held=True), loaded="590.48.01"), True),
        (LOADED, False),  # ours
        (replace(VENDOR, loaded="550.163.01"), False),
        (replace(VENDOR, loaded=None, smi=SILENT), False),
        (replace(VENDOR, smi=MISMATCH), False),
        (replace(VENDOR, smi=survey.Answer()), False),  # a module alone
    ],
)
def test_a_driver_that_fits_is_left_alone(host: Any, vendor: bool) -> None:
    found = findings(host)
    assert (found.refusal, found.vendor) == (None, vendor)


def test_an_installed_module_is_loaded() -> None:
    found = findings(INSTALLED)
    assert (found.load, found.reboot, found.broken, found.pending) == (True, None, None, "the module is not loaded")


def test_a_loaded_one_is_not_loaded_again() -> None:
    found = findings(LOADED)
    assert (found.load, found.reboot, found.broken, found.pending) == (False, None, None, None)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (replace(INSTALLED, nouveau=True), "nouveau drives the card"),
        (replace(LOADED, loaded="550.163.01"), f"the loaded module is 550.163.01, the library {VERSION}"),
        (replace(LOADED, smi=MISMATCH), f"the loaded module {VERSION} and the library are of different versions"),
        (
            replace(INSTALLED, kernels=(KERNEL, NEWER), dkms=survey.Answer(0, BUILT.format(NEWER))),
            f"the module is built for kernel {NEWER}, but {KERNEL} runs",
        ),
    ],
)
def test_only_a_reboot_helps(host: Any, says: str) -> None:
    found = findings(host)
    assert (found.reboot, found.load, found.broken) == (says, False, None)


@pytest.mark.parametrize(
    ("dkms", "errors", "why"),
    [
        ("", (), "DKMS has not built it: are the headers of this kernel installed?"),
        (BUILT.format(KERNEL), (), "DKMS has not built it: are the headers of this kernel installed?"),
        (f"nvidia/{VERSION}: added", ("nv-pci.c:237: error: too few", "b: error: c"), "nv-pci.c:237: error: too few"),
        (f"nvidia/{VERSION}, {NEWER}, x86_64: built", (), "DKMS has not built it"),
        (f"nvidia/550.163.01, {NEWER}, x86_64: installed", (), "DKMS has not built it"),
    ],
)
def test_a_module_that_the_newest_kernel_lacks_is_broken(dkms: str, errors: tuple[str, ...], why: str) -> None:
    host = replace(INSTALLED, kernels=(KERNEL, NEWER), dkms=survey.Answer(0, dkms), errors=errors)
    found = findings(host)
    assert found.broken is not None
    assert found.broken.startswith(f"the module of driver {VERSION} does not build for kernel {NEWER}: {why}")
    assert (found.load, found.useless) == (False, dkms != BUILT.format(KERNEL))


@pytest.mark.parametrize(
    "line",
    [
        "nvidia/{}, {}, x86_64: installed (Original modules exist)",
        "nvidia, {}, {}, x86_64: installed",
        "nvidia-current/{}, {}, x86_64: installed",
    ],
)
def test_every_way_that_dkms_says_it_counts(line: str) -> None:
    assert findings(replace(INSTALLED, dkms=survey.Answer(0, line.format(VERSION, KERNEL)))).broken is None


def test_a_vendors_module_is_not_asked_of_dkms() -> None:
    assert findings(replace(VENDOR, dkms=survey.Answer())).broken is None


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (replace(LOADED, smi=WORKS), None),
        (replace(FRESH, smi=survey.Answer()), None),
        (replace(LOADED, smi=survey.Answer()), "nvidia-smi fails: it is not installed"),
        (replace(VENDOR, smi=SILENT), f"nvidia-smi fails: {SILENT.text.strip()}"),
        (
            replace(VENDOR, smi=survey.Answer(0, SMI.format(WITHOUT_MIG + GPU.format("2", "Enabled", "Disabled")))),
            "MIG of the card 2 is Enabled, and Disabled after a reset: nvidia-smi --gpu-reset",
        ),
        (replace(LOADED, smi=survey.Answer(0, SMI.format(GPU.format("2", "Enabled", "Enabled")))), None),
    ],
)
def test_what_a_card_will_be_later_is_said(host: Any, says: str | None) -> None:
    assert findings(host).pending == says


def test_the_fabric_manager_is_of_the_drivers_version() -> None:
    assert findings(LOADED).fabric_package is None
    assert findings(replace(FRESH, switches=4)).fabric_package is None  # not known yet
    host = replace(LOADED, switches=4)
    assert findings(host).fabric_package == f"nvidia-fabricmanager={VERSION}-*"
    assert findings(host).pending == f"the fabric manager is missing, the driver {VERSION}: they have to be the same"
    other = survey.Package("nvidia-fabricmanager", "580.95.05-1")
    assert "is 580.95.05" in findings(replace(host, packages=(*host.packages, other))).pending
    same = survey.Package("nvidia-fabricmanager", f"{VERSION}-1")
    assert findings(replace(host, packages=(*host.packages, same))).pending is None


@pytest.mark.parametrize(
    ("suite", "running", "installed", "flavour"),
    [
        ("debian13", "6.12.118+deb13-amd64", [], "amd64"),
        ("debian13", "6.12.118+deb13-cloud-amd64", ["linux-image-amd64", "linux-image-cloud-amd64"], "cloud-amd64"),
        ("debian13", "6.12.118+deb13-rt-amd64", [], "rt-amd64"),
        ("ubuntu2404", "6.8.0-101-generic", ["linux-image-6.8.0-101-generic"], "generic"),
        (
            "ubuntu2404",
            "6.17.0-20-generic",
            ["linux-image-generic", "linux-image-generic-hwe-24.04", "linux-image-virtual"],
            "generic-hwe-24.04",
        ),
        ("ubuntu2404", "6.8.0-1030-aws", ["linux-image-aws"], "aws"),
        ("ubuntu2404", "6.8.0-1030-nvidia-lowlatency", [], "nvidia-lowlatency"),
        ("debian13", "6.8.0-101-generic", [], ""),
        ("arch", "6.12.118+deb13-amd64", [], ""),
    ],
)
def test_headers_follow_the_running_flavour(suite: str, running: str, installed: Sequence[str], flavour: str) -> None:
    there = tuple(survey.Package(name, "6.8") for name in installed)
    assert findings(replace(FRESH, suite=suite, running=running, packages=there)).flavour == flavour


# Of NVIDIA's table of what the open modules drive, and of pci-ids.ucw.cz for what is older
@pytest.mark.parametrize(
    ("device", "generation"),
    [
        (0x1023, "Kepler or older"),
        (0x12FF, "Kepler or older"),
        (0x17FD, "Maxwell"),
        (0x13F2, "Maxwell"),
        (0x15F8, "Pascal"),
        (0x1B38, "Pascal"),
        (V100, "Volta"),
        (0x1DF6, "Volta"),
        (T4, "Turing"),
        (0x2182, "Turing"),
        (0x20B0, "Ampere"),
        (0x20F1, "Ampere"),
        (0x2204, "Ampere"),
        (0x2237, "Ampere"),
        (0x25B6, "Ampere"),
        (H100, "Hopper"),
        (0x233B, "Hopper"),
        (0x2684, "Ada"),
        (0x26B9, "Ada"),
        (L4, "Ada"),
        (B200, "Blackwell"),
        (0x2941, "Blackwell"),
        (0x2B85, "Blackwell"),
        (0x2BB5, "Blackwell"),
        (B300, "Blackwell Ultra"),
    ],
)
def test_a_device_id_tells_the_generation(device: int, generation: str) -> None:
    assert survey.row_of(card(device), MATRIX)["generation"] == generation


def test_no_device_id_is_in_two_rows_of_the_matrix() -> None:
    ranges = sorted(tuple(span) for row in MATRIX["cards"] for span in row["devices"])
    assert all(first <= last for first, last in ranges)
    assert all(last < first for (_, last), (first, _) in pairwise(ranges))


def test_a_card_newer_than_the_branch_says_with_which_one_it_begins() -> None:
    newer = {**MATRIX, "cards": [{**MATRIX["cards"][-1], "branches": {"first": 600}}]}
    refusal = survey.card_refusal(card(B300), replace(WISH, matrix=newer))
    assert refusal.endswith("which begins with branch 600: set nvidia_branch to that or a newer one")


def test_a_card_that_only_closed_modules_drive_is_refused() -> None:
    closed = {**MATRIX, "cards": [{**MATRIX["cards"][-1], "modules": ["closed"]}]}
    assert "open modules do not drive" in survey.card_refusal(card(B300), replace(WISH, matrix=closed))


def write(root: Path, path: str, content: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def device(root: Path, address: str, vendor: str, kind: str, name: str) -> None:
    for file, content in {"vendor": vendor, "class": kind, "device": name}.items():
        write(root, f"{survey.PCI}/{address}/{file}", f"{content}\n")


DPKG = """Package: nvidia-driver-cuda
Status: hold ok installed
Version: 580.105.08-1
Description: of several
 lines: one
 .

Package: nvidia-kernel-open-dkms
Status: install ok half-configured
Version: 580.105.08-1

Package: nvidia-persistenced
Status: deinstall ok config-files
Version: 550.163.01-1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The least that every host has."""
    write(tmp_path, "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n')
    write(tmp_path, "proc/sys/kernel/osrelease", f"{KERNEL}\n")
    write(tmp_path, "var/lib/dpkg/status", "")
    return tmp_path


def look(root: Path) -> Any:
    return survey.look(root, lambda command: survey.Answer(0, " ".join(command)))


def test_a_host_without_anything_is_looked_at(root: Path) -> None:
    asked = {"smi": survey.Answer(0, "nvidia-smi -q -x"), "dkms": survey.Answer(0, "dkms status")}
    assert look(root) == survey.Host("debian13", KERNEL, **asked)


def test_cards_and_switches_are_told_from_what_else_is_on_the_bus(root: Path) -> None:
    device(root, "0000:00:02.0", "0x1234", "0x030000", "0x1111")  # a virtual screen
    device(root, "0000:01:00.0", "0x10de", "0x030000", "0x2684")
    device(root, "0000:01:00.1", "0x10de", "0x040300", "0x22ba")  # its sound
    device(root, "0000:17:00.0", "0x10de", "0x030200", "0x2330")
    device(root, "0000:05:00.0", "0x10de", "0x068000", "0x22a3")
    found = look(root)
    assert found.cards == (survey.Card("0000:01:00.0", 0x2684), survey.Card("0000:17:00.0", 0x2330))
    assert (found.switches, found.nouveau) == (1, False)
    (root / survey.PCI / "0000:17:00.0/driver").symlink_to("../../../bus/pci/drivers/nouveau")
    assert look(root).nouveau


def test_the_newest_kernel_is_told_by_numbers(root: Path) -> None:
    for release in (NEWER, "6.12.9+deb13-cloud-amd64", KERNEL):
        write(root, f"boot/vmlinuz-{release}", "")
    assert look(root).kernels == ("6.12.9+deb13-cloud-amd64", KERNEL, NEWER)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.105.08  Wed Oct 29 22:15:24 UTC 2025\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (root@gpu-1)\n",
    ],
)
def test_both_builds_of_the_module_tell_their_version(root: Path, line: str) -> None:
    write(root, "proc/driver/nvidia/version", f"{line}GCC version:  gcc version 14.2.0 (Debian 14.2.0-19)\n")
    assert look(root).loaded == VERSION


def test_packages_are_read_with_their_holds_even_half_configured(root: Path) -> None:
    write(root, "var/lib/dpkg/status", DPKG)
    assert look(root).packages == (
        survey.Package("nvidia-driver-cuda", "580.105.08-1", held=True),
        survey.Package("nvidia-kernel-open-dkms", "580.105.08-1", half=True),
    )


def test_secure_boot_and_the_key_that_it_trusts(root: Path) -> None:
    write(root, survey.SECURE_BOOT, b"\x06\0\0\0\0")
    assert not look(root).secure_boot
    write(root, survey.SECURE_BOOT, b"\x06\0\0\0\1")
    write(root, survey.ENROLLED_KEYS, b"\x06\0\0\0 of Debian's; the-key-of-dkms.")
    assert (look(root).secure_boot, look(root).key_enrolled) == (True, False)
    write(root, survey.SIGNING_KEYS[0], b"the-key-of-dkms")
    assert look(root).key_enrolled
    write(root, survey.SIGNING_KEYS[0], b"another-key")
    assert not look(root).key_enrolled


def test_who_has_installed_is_read(root: Path) -> None:
    write(root, survey.OURS, "")
    write(root, "usr/bin/nvidia-uninstall", "")
    assert (look(root).ours, look(root).runfile) == (True, True)


def test_the_first_error_of_a_build_is_found(root: Path) -> None:
    log = (
        "make: Entering directory\n/usr/bin/cc -Werror=implicit -DX='an error'\nconftest.h: warning: an error: no\n"
        "nvidia/nv-pci.c:237:14: error: too few arguments to function 'pci_resize_resource'\nx.c:1: error: next\n"
    )
    write(root, "var/lib/dkms/nvidia/580.105.08/build/make.log", log)
    assert look(root).errors == ("nvidia/nv-pci.c:237:14: error: too few arguments to function 'pci_resize_resource'",)


def test_a_symbol_that_the_kernel_does_not_give_is_an_error_too(root: Path) -> None:
    missing = 'ERROR: modpost: "drm_helper" [nvidia-drm.ko] undefined!'
    write(root, "var/lib/dkms/nvidia/580.105.08/build/make.log", f"  MODPOST Module.symvers\n{missing}\n")
    assert look(root).errors == (missing,)


def test_the_program_prints_one_line(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    device(root, "0000:17:00.0", "0x10de", "0x030200", "0x1db1")
    wish = json.dumps({"branch": 580, "suites": ["debian13"], "matrix": MATRIX})
    monkeypatch.setattr("sys.argv", ["survey", "--root", str(root), wish])
    assert survey.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "Volta" in json.loads(line)["refusal"]


def test_a_program_that_is_missing_is_an_answer_too() -> None:
    assert survey.run_program(["no-such-program"]) == survey.Answer(127, "it is not installed")
    assert survey.run_program(["sh", "-c", "echo a; echo b >&2; exit 9"]) == survey.Answer(9, "a\nb\n")
    assert survey.run_program(["sh", "-c", "echo a; echo b >&2"]) == survey.Answer(0, "a\n")
