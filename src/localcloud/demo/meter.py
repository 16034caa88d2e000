"""What a run cost this machine: bytes received, peak memory and peak disk.

Run as a program it prints a reading as JSON, with nothing but Python's standard library, so that a run can be measured
from before its first installation.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_ROUTES = Path("/proc/net/route")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Reading:
    """One moment: Unix time in seconds, and bytes received, of memory in use and of disk in use."""

    time: float
    received: int
    memory: int
    disk: int


def default_interface(routes: str) -> str | None:
    """Name the interface of the default route in the text of `/proc/net/route`, or None where there is none."""
    for line in routes.splitlines()[1:]:
        interface, destination, *_ = line.split()
        if destination == "00000000":
            return interface
    return None


def read() -> Reading:
    """Read the meters now. Disk is the file system that holds `/var/lib`."""
    interface = default_interface(_ROUTES.read_text())
    received = 0
    if interface is not None:
        received = int(Path(f"/sys/class/net/{interface}/statistics/rx_bytes").read_text())
    fields = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
    kib = {name: int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return Reading(
        time.time(),
        received,
        (kib["MemTotal"] - kib["MemAvailable"]) * 1024,
        shutil.disk_usage("/var/lib").used,
    )


class Meter:
    """Samples in the background, as a context manager, and keeps the peaks since a first reading."""

    def __init__(self, since: Reading, seconds: float = 1.0) -> None:
        self._since = since
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.memory = since.memory
        self.disk = since.disk

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(self._seconds):
            now = read()
            self.memory = max(self.memory, now.memory)
            self.disk = max(self.disk, now.disk)

    def summary(self) -> str:
        """One line: downloads, and how far memory and disk rose at most above the first reading."""
        now = read()
        return (
            f"{(now.received - self._since.received) / 1e9:.2f} GB downloaded, "
            f"at most {(self.memory - self._since.memory) / 2**30:.1f} GiB of memory and "
            f"{(max(self.disk, now.disk) - self._since.disk) / 2**30:.1f} GiB of disk"
        )


if __name__ == "__main__":
    print(json.dumps(asdict(read())))
