"""In which cloud each slot has, or may have, a server: asked of us when that cloud does not answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from parrotpark.fleet.memory import recall
from parrotpark.shared.files import differs, write_file


@dataclass(frozen=True, slots=True)
class Whereabout:
    """Where the server of a slot is, or was being created."""

    clouds: tuple[str, ...]
    until: int  # epoch seconds; the end of its lease


def hidden(known: Mapping[str, Whereabout], silent: Collection[str], now: int) -> frozenset[str]:
    """Name the slots whose server may live in a cloud that does not answer: until its lease ends, none may be made."""
    return frozenset(
        slot for slot, place in known.items() if place.until >= now and not set(place.clouds).isdisjoint(silent)
    )


class Whereabouts:
    """A small file on the entry server. Without it a silent cloud is taken for empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Whereabout]:
        """Return them by slot; none if the file makes no sense."""
        try:
            known = recall(self._path) or {}
            return {slot: Whereabout(tuple(value["clouds"]), int(value["until"])) for slot, value in known.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write(self, known: Mapping[str, Whereabout]) -> None:
        """Remember these.

        Raises:
            OSError: they cannot be written.
        """
        content = f"{json.dumps({slot: asdict(place) for slot, place in sorted(known.items())})}\n".encode()
        if differs(self._path, content, 0o644):
            write_file(self._path, content, 0o644)
