"""How long things took before: what people are told to expect."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

from parrotpark.shared.files import write_file

KEPT = 200  # lines
SAMPLES = 5  # the latest of each step


class History:
    """A bounded file of durations, one JSON object per line. It only informs: if it cannot be kept, nothing fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, step: str, seconds: float, now: float) -> None:
        """Remember how long the step took."""
        line = json.dumps({"step": step, "seconds": round(seconds, 1), "at": int(now)})
        with suppress(OSError):
            write_file(self._path, "".join(f"{kept}\n" for kept in [*self._lines(), line][-KEPT:]).encode(), 0o644)

    def usual(self, step: str) -> float | None:
        """Return how many seconds the step usually takes: the median of the last five."""
        seconds = [entry["seconds"] for entry in map(_entry, self._lines()) if entry.get("step") == step]
        return median(seconds[-SAMPLES:]) if seconds else None

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError):
            return []


def _entry(line: str) -> dict[str, Any]:
    """Read one line; a broken one counts as empty."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and isinstance(entry.get("seconds"), int | float) else {}
