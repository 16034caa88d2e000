"""Look at a host's NVIDIA cards and driver; say what is to be done for a model server, or why nothing can be.

Usage: survey.py [--root FOLDER] WISH   WISH is JSON: {"branch": int, "suites": [str], "matrix": {...}}, and the matrix
what the role's matrix.yml holds. It changes nothing, and prints one line of JSON: the fields of `Findings`. FOLDER
stands for the host's /, in tests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PCI = "sys/bus/pci/devices"
VENDOR = 0x10DE
DISPLAY = (0x0300, 0x0302)  # PCI classes of a card, with and without a plug
BRIDGE = 0x0680  # of an NVSwitch

# EFI variables begin with four bytes of attributes. Their owners: the UEFI specification, and shim's MokVars.txt.
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
ENROLLED_KEYS = "sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
ATTRIBUTES = 4
# Debian's and Ubuntu's keys that DKMS signs with
SIGNING_KEYS = ("var/lib/dkms/mok.pub", "var/lib/shim-signed/mok/MOK.der")

# What is at the end of a kernel's release, and of the names of its packages
FLAVOURS = {"debian": r"-((?:cloud-|rt-)?amd64)$", "ubuntu": r"^\d+\.\d+\.\d+-\d+-([a-z][\w-]*)$"}
DRIVER = re.compile(r"^(nvidia|libnvidia|libcuda1)")
DRIVER_VERSION = re.compile(r"^(?:\d+:)?((\d{3})\.\d+(?:\.\d+)?)")
UNBRANCHED = 590  # since this one the names of Ubuntu's packages do not tell it: the guide's "Recent updates"
FABRIC_MANAGER = "nvidia-fabricmanager"
MISMATCH = "Driver/library version mismatch"
ERROR = re.compile(r": (?:fatal )?error:|^ERROR: modpost:")
OURS = "etc/apt/sources.list.d/nvidia.sources"  # written by the role, which leaves a vendor's driver alone


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, as the PCI bus knows it."""

    address: str
    device: int

    def __str__(self) -> str:
        return f"{self.address} (10de:{self.device:04x})"


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package, maybe half so."""

    name: str
    version: str
    held: bool = False
    half: bool = False
    """Whether it is unpacked, but its configuration has failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program has said; no program there is exit status 127."""

    status: int = 127
    text: str = "it is not installed"


@dataclass(frozen=True, slots=True)
class Host:
    """What can be seen of a host without changing it."""

    suite: str
    """Distribution and version as in NVIDIA's repository, such as `debian13`."""
    running: str
    """Release of the running kernel."""
    kernels: tuple[str, ...] = ()
    """Releases of the kernels that are installed, the newest last."""
    cards: tuple[Card, ...] = ()
    switches: int = 0
    secure_boot: bool = False
    key_enrolled: bool = False
    loaded: str | None = None
    """Version of the loaded module."""
    nouveau: bool = False
    packages: tuple[Package, ...] = ()
    ours: bool = False
    """Whether the role has installed here before."""
    runfile: bool = False
    """Whether NVIDIA's own installer has."""
    smi: Answer = field(default_factory=Answer)
    dkms: Answer = field(default_factory=Answer)
    errors: tuple[str, ...] = ()
    """Of each failed build of a module, the compiler's first error."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the role is asked for."""

    branch: int
    suites: tuple[str, ...]
    matrix: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the role goes by."""

    refusal: str | None
    """Why nothing can be done, in one line."""
    vendor: bool
    """Whether a driver is there that is not ours and fits."""
    ours: bool
    """Whether the role has installed here before."""
    suite: str
    flavour: str
    """Of the running kernel: the end of the names of its packages that follow the newest one."""
    newest: str
    """Release of the newest installed kernel."""
    packages: list[str]
    """What to install, each with the versions that it may have."""
    fabric_package: str | None
    """The fabric manager of the installed driver's version, where there is a fabric."""
    broken: str | None
    """Why the module cannot be loaded by the newest kernel."""
    useless: bool
    """Whether that module is not there for the running kernel either, so that its package only gets in apt's way."""
    load: bool
    """Whether the module is there for the running kernel, and only has to be loaded."""
    reboot: str | None
    """What a reboot would change."""
    pending: str | None
    """What else is not as it will be."""


def branch_of(version: str) -> int | None:
    """Return the branch of a driver's version, of a package's too; None for what is no driver's."""
    match = DRIVER_VERSION.match(version)
    return int(match[2]) if match else None


def upstream(version: str) -> str:
    """Return a package's version without what the distribution adds."""
    match = DRIVER_VERSION.match(version)
    return match[1] if match else version


def in_order(release: str) -> list[tuple[int, str]]:
    """Return a key by which kernels sort: numbers by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", release)]


def row_of(card: Card, matrix: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find the card's row in the matrix."""
    rows: Sequence[Mapping[str, Any]] = matrix["cards"]
    return next((row for row in rows if any(first <= card.device <= last for first, last in row["devices"])), None)


def capability(text: str) -> tuple[int, ...]:
    """Return a compute capability so that it compares."""
    return tuple(int(part) for part in text.split("."))


def card_refusal(card: Card, wish: Wish) -> str | None:
    """Say why this card cannot serve models with the branch."""
    row, needs = row_of(card, wish.matrix), wish.matrix["needs"]
    if row is None:
        return f"the card {card} is in no row of the role's matrix.yml: add what NVIDIA says of it"
    branches, name = row["branches"], f"the card {card} is of generation {row['generation']}"
    if capability(row["compute"]) < capability(needs["compute"]):
        return (
            f"{name}, too old for vLLM {needs['vllm']}: torch {needs['torch']} for CUDA {needs['cuda']} has no kernels "
            f"below compute capability {needs['compute']}, and branch {branches['last']} is its last: take a newer card"
        )
    if wish.branch < branches.get("first", 0):
        return f"{name}, which begins with branch {branches['first']}: set nvidia_branch to that or a newer one"
    if "open" not in row["modules"]:
        return f"{name}, which the open modules do not drive: take a newer card"
    return None


def fits(host: Host, wish: Wish) -> bool:
    """Tell whether a driver of the branch or a newer one is loaded, and the library agrees with it."""
    return host.loaded is not None and (branch_of(host.loaded) or 0) >= wish.branch and host.smi.status == 0


def flavour_of(host: Host) -> str | None:
    """Return the flavour of the running kernel, as in the packages that follow the newest one.

    Ubuntu has several series of one flavour, `generic` and `generic-hwe-24.04` for one: the newest installed counts.
    """
    match = re.search(FLAVOURS.get(re.sub(r"\d", "", host.suite), "$^"), host.running)
    if match is None:
        return None
    followed = re.compile(rf"^linux-image-({re.escape(match[1])}(?:-(?:hwe|lts)-[\d.]+)?)$")
    found = [name[1] for package in host.packages if (name := followed.match(package.name))]
    return max(found, default=match[1])


def refusals(host: Host, wish: Wish) -> Iterator[str]:
    """Yield every reason to do nothing, the most telling first."""
    least = wish.matrix["needs"]["branch"]
    if wish.branch < least:
        yield f"nvidia_branch: {wish.branch} is older than {least}, which vLLM {wish.matrix['needs']['vllm']} needs"
    if not host.cards:
        yield "there is no NVIDIA card: take another server type, or leave the role out"
    yield from filter(None, (card_refusal(card, wish) for card in host.cards))
    if fits(host, wish) and not host.ours:
        return
    if host.suite not in wish.suites:
        yield f"NVIDIA's repository for {host.suite} is none of {', '.join(wish.suites)}: take one of these systems"
    if host.secure_boot and not host.key_enrolled:
        yield (
            f"secure boot is on, and the key that DKMS signs with is not enrolled (/{SIGNING_KEYS[0]}): switch secure "
            "boot off, enroll the key, or take an image that brings a driver"
        )
    held = [package for package in driver_packages(host) if package.held and branch_of(package.version) != wish.branch]
    if held and not host.ours:
        names = ", ".join(f"{package.name} {package.version}" for package in held)
        yield f"somebody holds {names}, which is not of branch {wish.branch}: release it with apt-mark unhold"
    half = next((package for package in driver_packages(host) if package.half), None)
    if half and not host.ours:
        yield (
            f"{half.name} {half.version} is half installed, and every run of apt would try again: "
            f"run apt-get remove {half.name}"
        )
    if host.runfile and not host.ours:
        yield "NVIDIA's installer has been run here, and apt does not know of its driver: run nvidia-uninstall"
    if not host.kernels:
        yield "no kernel is installed in /boot: a driver cannot be built in a container"
    if flavour_of(host) is None:
        yield f"the running kernel {host.running} is not one that {host.suite} has headers for: boot its own"


def driver_packages(host: Host) -> list[Package]:
    """Return the installed packages that are of one driver version."""
    return [package for package in host.packages if DRIVER.match(package.name) and branch_of(package.version)]


def wanted(suite: str, branch: int) -> list[str]:
    """Name the packages of a driver that computes and shows nothing.

    Debian's as NVIDIA's guide has them for compute-only systems; Ubuntu's likewise, with what brings nvidia-smi and the
    persistence daemon.
    """
    if suite.startswith("debian"):
        names = ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]
    elif branch < UNBRANCHED:
        names = [f"nvidia-dkms-{branch}-open"]
        names += [f"{name}-{branch}" for name in ("libnvidia-compute", "nvidia-utils", "nvidia-compute-utils")]
    else:
        names = ["nvidia-dkms-open", "libnvidia-compute", "nvidia-utils", "nvidia-persistenced"]
    return [f"{name}={branch}.*" for name in names]


def installed_version(host: Host, wish: Wish) -> str | None:
    """Return the version of the driver whose packages are installed."""
    names = {name.partition("=")[0] for name in wanted(host.suite, wish.branch)}
    return next((upstream(package.version) for package in driver_packages(host) if package.name in names), None)


def built_for(host: Host, version: str) -> set[str]:
    """Return the kernels that DKMS has built and installed this version for."""
    line = re.compile(rf"^nvidia[\w-]*(?:/|, ){re.escape(version)}, ([^,]+), [^:]+: installed", re.MULTILINE)
    return set(line.findall(host.dkms.text))


def broken(host: Host, wish: Wish) -> str | None:
    """Say why the newest kernel would come up without a driver; None where it would not, or none is there yet."""
    version = installed_version(host, wish)
    if version is None or not host.kernels or host.kernels[-1] in built_for(host, version):
        return None
    why = host.errors[0] if host.errors else "DKMS has not built it: are the headers of this kernel installed?"
    return f"the module of driver {version} does not build for kernel {host.kernels[-1]}: {why}"


def reboot(host: Host, wish: Wish) -> str | None:
    """Say what only a reboot can change."""
    version = installed_version(host, wish)
    if host.loaded and version and host.loaded != version:
        return f"the loaded module is {host.loaded}, the library {version}"
    if MISMATCH in host.smi.text:
        return f"the loaded module {host.loaded} and the library are of different versions"
    if host.nouveau:
        return "nouveau drives the card"
    if version and not host.loaded and host.running not in built_for(host, version):
        return f"the module is built for kernel {host.kernels[-1]}, but {host.running} runs"
    return None


def pending(host: Host) -> str | None:
    """Say what a card will be after a reset and is not yet, or why nothing can be said."""
    if host.smi.status != 0:
        return f"nvidia-smi fails: {' '.join(host.smi.text.split())}" if host.loaded else None
    for card in ET.fromstring(host.smi.text).iter("gpu"):  # noqa: S314 (the driver's own text)
        now, then = card.findtext("mig_mode/current_mig", ""), card.findtext("mig_mode/pending_mig", "")
        if now != then:
            return f"MIG of the card {card.get('id')} is {now}, and {then} after a reset: nvidia-smi --gpu-reset"
    managers = (upstream(package.version) for package in host.packages if package.name.startswith(FABRIC_MANAGER))
    if host.switches and (manager := next(managers, "missing")) != host.loaded:
        return f"the fabric manager is {manager}, the driver {host.loaded}: they have to be the same"
    return None


def judge(host: Host, wish: Wish) -> Findings:
    """Draw the conclusions."""
    refusal = next(refusals(host, wish), None)
    version = installed_version(host, wish)
    vendor = refusal is None and fits(host, wish) and not host.ours
    ready = refusal is None and not vendor
    broke = broken(host, wish) if ready else None
    again = reboot(host, wish) if ready else None
    load = bool(ready and version and not host.loaded and not broke and not again)
    return Findings(
        refusal=refusal,
        vendor=vendor,
        ours=host.ours,
        suite=host.suite,
        flavour=flavour_of(host) or "",
        newest=host.kernels[-1] if host.kernels else "",
        packages=wanted(host.suite, wish.branch),
        fabric_package=f"{FABRIC_MANAGER}={version}-*" if host.switches and version else None,
        broken=broke,
        useless=broke is not None and host.running not in built_for(host, version or ""),
        load=load,
        reboot=again,
        pending="the module is not loaded" if load else pending(host),
    )


def number(file: Path) -> int:
    """Read a number as sysfs writes it."""
    return int(file.read_text(), 16)


def devices(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield address, class (without its last byte) and device of NVIDIA's devices on the PCI bus."""
    for folder in sorted((root / PCI).glob("*")):
        if number(folder / "vendor") == VENDOR:
            yield folder.name, number(folder / "class") >> 8, number(folder / "device")


def installed(root: Path) -> Iterator[Package]:
    """Read what dpkg has: of each package that is there, half configured ones included."""
    for paragraph in (root / "var/lib/dpkg/status").read_text(errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        want, _, state = fields.get("Status", "deinstall ok not-installed").split()
        if state not in ("not-installed", "config-files"):
            yield Package(fields["Package"], fields["Version"], want == "hold", state != "installed")


def first_error(log: Path) -> str | None:
    """Return the first error in a build's log, be it the compiler's or of what checks symbols."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line.strip() for line in lines if ERROR.search(line)), None)


def text(file: Path) -> str:
    """Return what is in a file, nothing where it is not there."""
    return file.read_text(errors="replace") if file.exists() else ""


def look(root: Path, run: Callable[[Sequence[str]], Answer]) -> Host:
    """Look at everything."""
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text(root / "etc/os-release"), re.MULTILINE))
    found = list(devices(root))
    loaded = re.search(r"Kernel Module[^\n]*?\s(\d{3}\.[\d.]+)\s", text(root / "proc/driver/nvidia/version"))
    keys = [key.read_bytes() for name in SIGNING_KEYS if (key := root / name).exists()]
    secure, enrolled = root / SECURE_BOOT, root / ENROLLED_KEYS
    list_of_keys = enrolled.read_bytes() if enrolled.exists() else b""
    logs = sorted((root / "var/lib/dkms").glob("nvidia*/*/build/make.log"))
    kernels = [file.name.removeprefix("vmlinuz-") for file in (root / "boot").glob("vmlinuz-*")]
    return Host(
        suite=system.get("ID", "") + system.get("VERSION_ID", "").replace(".", ""),
        running=text(root / "proc/sys/kernel/osrelease").strip(),
        kernels=tuple(sorted(kernels, key=in_order)),
        cards=tuple(Card(address, device) for address, kind, device in found if kind in DISPLAY),
        switches=sum(kind == BRIDGE for _, kind, _ in found),
        secure_boot=secure.exists() and secure.read_bytes()[ATTRIBUTES:] == b"\x01",
        key_enrolled=any(key in list_of_keys for key in keys),
        loaded=loaded[1] if loaded else None,
        nouveau=any((root / PCI / address / "driver").resolve().name == "nouveau" for address, _, _ in found),
        packages=tuple(installed(root)),
        ours=(root / OURS).exists(),
        runfile=(root / "usr/bin/nvidia-uninstall").exists(),
        smi=run(("nvidia-smi", "-q", "-x")),
        dkms=run(("dkms", "status")),
        errors=tuple(filter(None, map(first_error, logs))),
    )


def run_program(command: Sequence[str]) -> Answer:
    """Run a program; its complaints belong to what it says, wherever it writes them."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        return Answer()
    return Answer(done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="survey")
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("wish", type=json.loads)
    options = parser.parse_args()
    wish = Wish(options.wish["branch"], tuple(options.wish["suites"]), options.wish["matrix"])
    print(json.dumps(asdict(judge(look(options.root, run_program), wish))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
