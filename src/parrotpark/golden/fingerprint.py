"""The fingerprint: a hash over everything that shapes a GPU host, and one of each part, to say what has changed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parrotpark.shared.lease import FINGERPRINT_LENGTH, PART

PART_LENGTH = 12

# They lie beside what shapes a host, but do not reach it; `meta` is what a role says of itself.
_NOT_SHAPING = frozenset({"__pycache__", "meta", "molecule", "README.md"})
_QUICKLY_READ = 64 * 2**20  # bytes; larger weights are known by size and time, as reading them takes minutes


class FingerprintError(Exception):
    """A file to be hashed does not exist; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a GPU host is made from, as hexadecimal digits that fit into labels."""

    whole: str
    parts: Mapping[str, str]

    def part_labels(self) -> dict[str, str]:
        """Write the parts as labels."""
        return {f"{PART}{name}": digest for name, digest in self.parts.items()}


def fingerprint(root: Path, paths: Iterable[str], values: Mapping[str, object]) -> Fingerprint:
    """Hash files and folders (relative to `root`) together with JSON values (base image, models, settings).

    A path's part is named after the last component of the path, without suffix; a value's part after its key. Parts of
    the same name are one part. A value may be a mapping whose `folders` are a list of folders with weights: then their
    files count, by name and content; those over 64 MiB by size and time of modification instead.

    Raises:
        FingerprintError: a path does not exist, or a value is not JSON.
    """
    lines: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        start = root / path
        for file in _files(start):
            executable = bool(file.stat().st_mode & 0o100)
            lines[start.stem].add(f"{file.relative_to(start.parent).as_posix()}\0{executable}\0{_shape(file)}")
    for name, value in values.items():
        lines[name].add(_json(value))
        for folder in _folders(value):
            lines[name] |= {f"{file.relative_to(folder).as_posix()}\0{_weights(file)}" for file in _files(folder)}
    digests = {name: _digest("\n".join(sorted(lines[name]))) for name in sorted(lines)}
    return Fingerprint(
        whole=_digest(_json(digests))[:FINGERPRINT_LENGTH],
        parts={name: digest[:PART_LENGTH] for name, digest in digests.items()},
    )


def changed_parts(old_labels: Mapping[str, str], new: Fingerprint) -> list[str]:
    """Name the parts that differ from those in the labels, including the ones that came or went."""
    old = {key.removeprefix(PART): digest for key, digest in old_labels.items() if key.startswith(PART)}
    return sorted(name for name in {*old, *new.parts} if old.get(name) != new.parts.get(name))


def _files(start: Path) -> Iterator[Path]:
    if start.is_file():
        yield start
    elif start.is_dir():
        for file in start.rglob("*"):
            if file.is_file() and _NOT_SHAPING.isdisjoint(file.relative_to(start).parts):
                yield file
    else:
        raise FingerprintError(f"{start} shapes a GPU host, but does not exist")


def _folders(value: object) -> Iterator[Path]:
    if isinstance(value, Mapping):
        yield from map(Path, value.get("folders", ()))


def _weights(file: Path) -> str:
    facts = file.stat()
    return _content(file) if facts.st_size <= _QUICKLY_READ else f"{facts.st_size} {facts.st_mtime_ns}"


def _shape(file: Path) -> str:
    """Hash what a file means to a machine. Comments in YAML mean nothing to it, and in defaults are documentation."""
    if file.suffix not in (".yml", ".yaml"):
        return _content(file)
    import yaml  # here, as the entry server only compares fingerprints, and has no YAML

    parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same and ten times as fast, where it was compiled
    try:
        return _digest(yaml.serialize_all(yaml.compose_all(file.read_text(encoding="utf-8"), parser)))
    except (yaml.YAMLError, UnicodeError):
        return _content(file)


def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise FingerprintError(f"a value of the fingerprint is not JSON: {error}") from error
