"""Writes files whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def differs(path: Path, content: bytes, mode: int) -> bool:
    """Say whether the file is missing, or has other content or permissions."""
    try:
        return stat.S_IMODE(path.stat().st_mode) != mode or path.read_bytes() != content
    except FileNotFoundError:
        return True


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Put `content` in place atomically; a folder that has to be made is accessible to its owner only.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
