"""Says what changed since the version that an inventory was checked for, and stops until somebody has read it.

`python -m parrotpark.control.upgrade` fails if CHANGELOG.md has something that a run could not show to people.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from parrotpark.control.preflight import Setting

CHECKED = "parrotpark_checked_version"
BEFORE = "0.1.0"  # the last version that did not ask which version an inventory was checked for
CHANGELOG = Path("CHANGELOG.md")
_NUMBERS = re.compile(r"\d+\.\d+\.\d+")
# All that may follow the introduction: versions, and entries that say whom they affect and, after a colon, what to do.
_PART = re.compile(
    rf"^## (?P<version>{_NUMBERS.pattern})$"
    r"|^- (?P<entry>This affects you if [^:\n]+(?:\n  [^:\n]+)*:(?: .+|(?=\n  ))(?:\n  .+)*)$",
    re.MULTILINE,
)

type Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the changelog, as one line."""

    version: Version
    text: str


def news(checked: object, changelog: str) -> list[str]:
    """Name what changed since the `checked` version, if anything did; the schema refuses what is not a version."""
    checked = BEFORE if checked is None else checked
    if not isinstance(checked, str) or not _NUMBERS.fullmatch(checked):
        return []
    this = newest(changelog)
    if _version(checked) > this:
        return [
            f"{CHECKED} is {checked}, newer than this, {_text(this)}: take the newer version, or set it to "
            f"{_text(this)} to go back, which nobody has tested"
        ]
    lines = [f"{_text(change.version)}: {change.text}" for change in since(_version(checked), changes(changelog))]
    if not lines:
        return []
    return [
        f"{CHECKED} is {checked}, and this is {_text(this)}. {CHANGELOG} says:",
        *lines,
        f"Do what affects you, set {CHECKED}: {_text(this)}, and run again",
    ]


def changes(changelog: str) -> list[Change]:
    """Return the entries of all versions, in the order of the file."""
    found: list[Change] = []
    version: Version = ()
    for part in _PART.finditer(changelog):
        if part["version"]:
            version = _version(part["version"])
        else:
            found.append(Change(version, " ".join(part["entry"].split())))
    return found


def since(version: Version, found: Sequence[Change]) -> list[Change]:
    """Return the changes that came after a version."""
    return [change for change in found if change.version > version]


def newest(changelog: str) -> Version:
    """Return the version of this checkout: `faults` sees that the changelog and pyproject.toml agree."""
    return versions(changelog)[0]


def versions(changelog: str) -> list[Version]:
    """Return the versions that the changelog names, in the order of the file."""
    return [_version(part["version"]) for part in _PART.finditer(changelog) if part["version"]]


def renamed(settings: Iterable[Setting], names: Mapping[str, str]) -> list[str]:
    """Refuse old names of inputs, with the new one of each."""
    return [
        f"{setting.name} in {setting.place} is now {names[setting.name]}: docs/inputs.md explains it"
        for setting in settings
        if setting.name in names
    ]


def faults(changelog: str, current: str) -> list[str]:
    """Name what a run could not read, or would misread; `current` is the version that pyproject.toml names."""
    found = versions(changelog)
    if not found:
        return ["it names no version"]
    problems = [f"{_text(b)} is below {_text(a)}: put the newest first" for a, b in pairwise(found) if a <= b]
    if found[0] != _version(current):
        problems.append(f"its newest version is {_text(found[0])}, that of pyproject.toml {current}")
    introduction, *_ = re.split(r"^## ", changelog, maxsplit=1, flags=re.MULTILINE)
    unread = _PART.sub(lambda part: "\n" * part[0].count("\n"), changelog).split("\n")
    above = introduction.count("\n")
    rest = enumerate(unread[above:], start=above + 1)
    return problems + [f"line {number} is not an entry: {line!r}" for number, line in rest if line.strip()]


def main() -> int:
    """Print the faults; return 1 if there are any."""
    current = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    problems = faults(CHANGELOG.read_text(), current)
    for problem in problems:
        print(f"{CHANGELOG}: {problem}")
    return 1 if problems else 0


def _version(text: str) -> Version:
    return tuple(map(int, text.split(".")))


def _text(version: Version) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
