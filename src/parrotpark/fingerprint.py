"""The fingerprint: one hash over everything that shapes a GPU host, so that two hosts can be told apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from parrotpark.lease import FINGERPRINT_LENGTH

# They lie beside what shapes a host, but do not reach it.
_NOT_SHAPING = frozenset({"__pycache__", "molecule", "README.md"})


class FingerprintError(Exception):
    """A file to be hashed is not there; the message is one line that names it."""


def fingerprint(root: Path, paths: Iterable[str], values: Mapping[str, object]) -> str:
    """Hash files and folders (relative to `root`) together with JSON values (base image, model sources, settings).

    Raises:
        FingerprintError: a path does not exist, or a value is no JSON.
    """
    digest = hashlib.sha256()
    for file in sorted({file for path in paths for file in _files(root, path)}):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        executable = bool(file.stat().st_mode & 0o100)
        digest.update(f"{file.relative_to(root).as_posix()}\0{executable}\0{content}\n".encode())
    try:
        digest.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
    except TypeError as error:
        raise FingerprintError(f"a value of the fingerprint is no JSON: {error}") from error
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


def _files(root: Path, path: str) -> Iterator[Path]:
    start = root / path
    if start.is_file():
        yield start
    elif start.is_dir():
        for file in start.rglob("*"):
            if file.is_file() and _NOT_SHAPING.isdisjoint(file.relative_to(start).parts):
                yield file
    else:
        raise FingerprintError(f"{start} shapes a GPU host, but does not exist")
