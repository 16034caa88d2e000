"""What nvidia-smi says of a host's cards, by its XML (`nvidia-smi -q -x`), and why it may say nothing.

The elements have changed with the drivers: 615 calls `driver_version` `kmd_version`, and `cuda_version`
`cuda_umd_version`; ECC counters and the need of a reset have moved twice. Read are captures of drivers 418 to 615, in
NVIDIA/k8s-test-infra and influxdata/telegraf. What a card does not tell, or a driver does not know, is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

LOST = "GPU is lost"
NO_RECOVERY = "None"  # nvidia-smi's word for: nothing is needed
_MIB = 2**20
_UNKNOWN = ("N/A", "Requested functionality has been deprecated", "Insufficient Permissions", "Unknown Error", LOST, "")


class NvidiaSmiError(Exception):
    """nvidia-smi failed, or said what we cannot read; the message is one line."""

    advice = "look at the kernel's log: journalctl --dmesg --grep=NVRM"


class VersionMismatch(NvidiaSmiError):
    """The kernel has loaded another version of the driver than the libraries are of."""

    advice = "reboot, so that the kernel loads the version that is installed, and hold the driver's packages"


class DriverNotRunning(NvidiaSmiError):
    """The kernel has no NVIDIA driver loaded."""

    advice = "load it (modprobe nvidia); if that fails, it was not built for this kernel: dkms status"


class NoDevices(NvidiaSmiError):
    """The driver runs, and finds no card."""

    advice = "the host has no card, or it has fallen off the bus: take another host"


class Unreadable(NvidiaSmiError):
    """It is not the XML of nvidia-smi."""


# What it prints, on standard output, with status 18, 9 and 6.
_FAILURES = (
    ("Driver/library version mismatch", VersionMismatch),
    ("couldn't communicate with the NVIDIA driver", DriverNotRunning),
    ("No devices were found", NoDevices),
)


@dataclass(frozen=True, slots=True)
class Card:
    """One card. Memory is in bytes."""

    slot: str
    """Its PCI address, such as 00000000:06:00.0."""
    name: str | None
    uuid: str | None
    architecture: str | None
    capability: tuple[int, int] | None
    """NVIDIA's compute capability. It is not in the XML: see `capabilities`."""
    memory: int | None
    reserved: int | None
    """Of the memory, what CUDA never sees."""
    used: int | None
    persistence: bool | None
    mig: bool | None
    """Whether it is divided into instances."""
    mig_pending: bool | None
    """Whether it will be after its next reset."""
    instances: int
    uncorrectable: int | None
    """ECC errors that nothing corrected, since the driver was loaded."""
    worn_out: bool | None
    """Whether its on-chip memory has had more errors than NVIDIA allows."""
    remapping: bool | None
    """Whether rows, or pages, of its memory are replaced at its next reset."""
    remapping_failed: bool | None
    """Whether it has no spare rows left."""
    repair_pending: bool | None
    fabric: str | None
    """State of its link to the NVSwitch fabric, such as Completed; None without such a fabric."""
    fabric_status: str | None
    """How that ended, such as Success."""
    fabric_health: str | None
    recovery: str | None
    """What NVIDIA's driver wants done about it, such as None, Drain P2P or Reboot."""
    lost: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What one run of nvidia-smi told."""

    driver: str
    cuda: str | None
    """The newest CUDA that this driver serves."""
    attached: int
    """Cards that are there, by the driver's count."""
    cards: tuple[Card, ...]


def failure(status: int, output: str) -> NvidiaSmiError:
    """Tell what a run that ended with `status` said; `output` is what it printed to both streams."""
    text = " ".join(output.split())
    for words, kind in _FAILURES:
        if words in text:
            return kind(text)
    return NvidiaSmiError(f"nvidia-smi ended with status {status}: {text or 'it said nothing'}")


def capabilities(table: str) -> dict[str, tuple[int, int]]:
    """Read `nvidia-smi --query-gpu=uuid,compute_cap --format=csv,noheader`: a card's UUID, and its capability.

    Drivers before 510 know no `compute_cap`, and cards that do not tell it are left out.
    """
    rows = re.findall(r"^(GPU-[0-9a-f-]+), (\d+)\.(\d+)$", table, re.MULTILINE)
    return {uuid: (int(major), int(minor)) for uuid, major, minor in rows}


def parse(xml: str, table: str = "") -> Facts:
    """Read the XML, and the table of `capabilities`.

    Raises:
        Unreadable: it is something else.
    """
    try:
        log = ElementTree.fromstring(xml)  # noqa: S314 # from a program that root has installed
    except ElementTree.ParseError as error:
        raise Unreadable(f"nvidia-smi's XML cannot be read: {error}") from None
    driver = _text(log, "kmd_version", "driver_version")
    if log.tag != "nvidia_smi_log" or driver is None:
        raise Unreadable(f"nvidia-smi's XML is of another kind: {log.tag} without a version of the driver")
    known = capabilities(table)
    cards = tuple(_card(gpu, known) for gpu in log.findall("gpu"))
    attached = _number(log, "attached_gpus")
    return Facts(
        driver=driver,
        cuda=_text(log, "cuda_umd_version", "cuda_version"),
        attached=len(cards) if attached is None else attached,
        cards=cards,
    )


def module_version(text: str) -> str | None:
    """Read the version of the loaded driver from /proc/driver/nvidia/version; None if it is not there."""
    match = re.search(r"^NVRM version: .*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return match[1] if match else None


def library_version(output: str) -> str | None:
    """Read the version of the libraries from what nvidia-smi says of a mismatch; it leaves out the last part."""
    match = re.search(r"NVML library version: (\d+(?:\.\d+)+)", output)
    return match[1] if match else None


def _card(gpu: ElementTree.Element, known: dict[str, tuple[int, int]]) -> Card:
    uuid = _text(gpu, "uuid")
    return Card(
        slot=gpu.get("id", ""),
        name=_text(gpu, "product_name"),
        uuid=uuid,
        architecture=_text(gpu, "product_architecture"),
        capability=known.get(uuid or ""),
        memory=_mebibytes(gpu, "fb_memory_usage/total"),
        reserved=_mebibytes(gpu, "fb_memory_usage/reserved"),
        used=_mebibytes(gpu, "fb_memory_usage/used"),
        persistence=_flag(gpu, "persistence_mode"),
        mig=_flag(gpu, "mig_mode/current_mig"),
        mig_pending=_flag(gpu, "mig_mode/pending_mig"),
        instances=len(gpu.findall("mig_devices/mig_device")),
        uncorrectable=_uncorrectable(gpu),
        worn_out=_flag(gpu, "ecc_errors/aggregate/sram_threshold_exceeded"),
        remapping=_any(
            _flag(gpu, path)
            for path in (
                "remapped_rows/remapped_row_pending",
                "remapped_banks/bank_remapper_pending",
                "retired_pages/pending_retirement",
                "retired_pages/pending_blacklist",
            )
        ),
        remapping_failed=_flag(gpu, "remapped_rows/remapped_row_failure"),
        repair_pending=_any(
            _flag(gpu, path) for path in ("ecc_errors/channel_repair_pending", "ecc_errors/tpc_repair_pending")
        ),
        fabric=_text(gpu, "fabric/state"),
        fabric_status=_text(gpu, "fabric/status"),
        fabric_health=_text(gpu, "fabric/health/summary"),
        recovery=_recovery(gpu),
        lost=LOST in (text.strip() for text in gpu.itertext()),
    )


def _uncorrectable(gpu: ElementTree.Element) -> int | None:
    volatile = gpu.find("ecc_errors/volatile")
    if volatile is None:
        return None
    # Before driver 430 the sum of all kinds was double_bit/total.
    names = [element.tag for element in volatile if "_uncorrectable" in element.tag] or ["double_bit/total"]
    counts = [count for count in (_number(volatile, name) for name in names) if count is not None]
    return sum(counts) if counts else None


def _recovery(gpu: ElementTree.Element) -> str | None:
    if _flag(gpu, "gpu_reset_status/reset_required"):  # before driver 565
        return "Reset"
    if _flag(gpu, "gpu_reset_status/drain_and_reset_recommended"):
        return "Drain and Reset"
    return _text(gpu, "gpu_recovery_action")


def _text(element: ElementTree.Element, *paths: str) -> str | None:
    """Return the first of the texts that says something."""
    texts = ((element.findtext(path) or "").strip() for path in paths)
    return next((text for text in texts if text not in _UNKNOWN), None)


def _number(element: ElementTree.Element, path: str) -> int | None:
    match = re.match(r"\d+", _text(element, path) or "")
    return int(match[0]) if match else None


def _mebibytes(element: ElementTree.Element, path: str) -> int | None:
    number = _number(element, path)
    return None if number is None else number * _MIB


def _flag(element: ElementTree.Element, path: str) -> bool | None:
    return {"Yes": True, "No": False, "Enabled": True, "Disabled": False}.get(_text(element, path) or "")


def _any(flags: Iterable[bool | None]) -> bool | None:
    known = [flag for flag in flags if flag is not None]
    return any(known) if known else None
