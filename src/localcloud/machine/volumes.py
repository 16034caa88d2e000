"""Volumes: sparse files that the host shows as loop devices, and machines as block devices."""

from __future__ import annotations

import json
import os
from pathlib import Path

from localcloud.backend import BackendError
from localcloud.machine.process import run
from localcloud.paths import VOLUMES


def create(volume_id: int, size_gb: int, filesystem: str | None) -> None:
    """Make a volume, formatted where a filesystem is named; one that exists is left as it is."""
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


def attach(volume_id: int) -> Path:
    """Show a volume as a block device of the host; return the device."""
    path = _path(volume_id)
    if not path.exists():
        raise BackendError(f"there is no volume {volume_id}")
    shown = devices().get(path)
    return shown[0] if shown else Path(run("losetup", "--find", "--show", path).strip())


def detach(volume_id: int) -> None:
    """Take a volume's block device away."""
    for device in devices().get(_path(volume_id), []):
        run("losetup", "--detach", device)


def detach_all() -> None:
    """Take the block devices of all volumes away."""
    for shown in devices().values():
        for device in shown:
            run("losetup", "--detach", device)


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
