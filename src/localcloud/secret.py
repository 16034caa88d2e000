"""Files that only root reads."""

from __future__ import annotations

import secrets
from pathlib import Path


def keep(path: Path) -> str:
    """Return the secret that a file keeps; it is made once."""
    if not path.exists():
        write(path, secrets.token_hex(32))
    return path.read_text()


def write(path: Path, content: str) -> None:
    """Write a file for root alone, at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(content)
    unfinished.rename(path)
