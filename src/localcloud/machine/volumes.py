"""Volumes: sparse files that appear as loop devices on the host, and as block devices in machines.

Every machine has loop devices of its own, so that all its life it may use those and no others.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.machine.process import run
from localcloud.paths import VOLUMES

LOOP_MAJOR, LOOP_CTL_REMOVE = 7, 0x4C81  # as the kernel has them
MAX_PART = Path("/sys/module/loop/parameters/max_part")
MOST_VOLUMES = 16  # a machine's, as at Hetzner
RELEASE_SECONDS = 5.0


def create(volume_id: int, size_gb: int, filesystem: str | None) -> None:
    """Make a volume, formatted if a filesystem is named; one that exists is left as it is."""
    path = _path(volume_id)
    if path.exists():
        return
    VOLUMES.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    os.truncate(unfinished, size_gb * 2**30)
    if filesystem is not None:
        run(f"mkfs.{filesystem}", "-q", unfinished)
    unfinished.rename(path)


def resize(volume_id: int, size_gb: int) -> None:
    """Grow a volume, and the block device that shows it."""
    path = _path(volume_id)
    if not path.exists():
        raise BackendError(f"there is no volume {volume_id}")
    os.truncate(path, size_gb * 2**30)
    for device in devices().get(path, []):
        run("losetup", "--set-capacity", device)


def delete(volume_id: int) -> None:
    """Remove a volume and its data."""
    detach(volume_id)
    _path(volume_id).unlink(missing_ok=True)


def device_numbers(ipv4: str) -> list[tuple[int, int]]:
    """List major and minor numbers of the machine's own block devices, which show its volumes."""
    most_partitions = int(MAX_PART.read_text())  # their numbers lie between those of the devices
    return [(LOOP_MAJOR, number << most_partitions.bit_length()) for number in _loop_numbers(ipv4)]


def show(volume_ids: Sequence[int], ipv4: str) -> dict[int, Path]:
    """Show exactly these volumes at the devices of the machine with this address; return each volume's device.

    A volume that another machine still has mounted stays there.

    Raises:
        BackendError: there is no such volume, it is in use elsewhere, or the machine has no device left for it.
    """
    own = [Path(f"/dev/loop{number}") for number in _loop_numbers(ipv4)]
    wanted = {volume_id: _path(volume_id) for volume_id in volume_ids}
    for volume_id, path in wanted.items():
        if not path.exists():
            raise BackendError(f"there is no volume {volume_id}")
    if len(wanted) > len(own):
        raise BackendError(f"a server has {len(own)} volumes at most")
    for path, there in devices().items():
        for device in there:
            if (device in own) != (path in wanted.values()):
                _free(device)
    shown = devices()
    free = [device for device in own if [device] not in shown.values()]
    for path in wanted.values():
        if path not in shown:
            run("losetup", free.pop(0), path)
    shown = devices()
    return {volume_id: shown[path][0] for volume_id, path in wanted.items()}


def detach(volume_id: int) -> None:
    """Remove a volume's block device."""
    for device in devices().get(_path(volume_id), []):
        _free(device)


def _free(device: Path) -> None:
    deadline = time.monotonic() + RELEASE_SECONDS
    while Path("/sys/block", device.name, "loop").exists():
        if time.monotonic() > deadline:
            raise BackendError(f"the volume at {device} is in use: unmount it first")
        if _in_use(device):  # for a moment after the machine that mounted it has ended
            time.sleep(0.1)
        else:
            run("losetup", "--detach", device)
    with Path("/dev/loop-control").open() as control, suppress(OSError):  # it may be taken again already
        fcntl.ioctl(control, LOOP_CTL_REMOVE, int(device.name.removeprefix("loop")))


def _in_use(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def _loop_numbers(ipv4: str) -> range:
    """List the numbers of a machine's loop devices; its address is its own while it exists."""
    if not ipv4:
        return range(0)
    first = IPv4Address(ipv4).packed[-1] * MOST_VOLUMES
    return range(first, first + MOST_VOLUMES)


def detach_all() -> None:
    """Remove the block devices of all volumes."""
    for shown in devices().values():
        for device in shown:
            _free(device)


def devices() -> dict[Path, list[Path]]:
    """List the host's loop devices that show our volumes, by file."""
    shown: dict[Path, list[Path]] = {}
    listed = json.loads(run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE") or "{}")
    for entry in listed.get("loopdevices", []):
        path = Path(entry["back-file"] or "")
        if path.parent == VOLUMES:
            shown.setdefault(path, []).append(Path(entry["name"]))
    return shown


def _path(volume_id: int) -> Path:
    return VOLUMES / f"{volume_id}.img"
