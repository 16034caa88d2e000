"""GPU hosts that were lost, and how long the next one has to wait: what never serves must not bill for ever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from parrotpark.shared.files import write_file

HOUR = 3600  # seconds
HOURLY = 4  # after so many losses in an hour, whatever their kind, the next host has to wait
PAUSES = (0, 300, 900, 1800, HOUR)  # seconds, after so many hosts in a row that never served
KEPT = max(HOURLY, len(PAUSES))  # losses; older ones change nothing


@dataclass(frozen=True, slots=True)
class Loss:
    """One run in which hosts were lost."""

    at: int  # epoch seconds
    served: bool  # whether they, or one after them, served
    reason: str


def next_try(losses: Sequence[Loss]) -> int:
    """Return from when on, in epoch seconds, a host may be made; the losses come in their order."""
    if not losses:
        return 0
    in_a_row = len(list(takewhile(lambda loss: not loss.served, reversed(losses))))
    pause = PAUSES[min(in_a_row, len(PAUSES)) - 1] if in_a_row else 0
    oldest = losses[-HOURLY].at + HOUR if len(losses) >= HOURLY else 0
    return max(losses[-1].at + pause, oldest)


class Losses:
    """A small file on the entry server. Without it the next host is made at once, and the count begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Loss, ...]:
        """Return them in their order; where the file makes no sense, there are none."""
        try:
            return tuple(Loss(int(loss["at"]), bool(loss["served"]), str(loss["reason"])) for loss in self._load())
        except (ValueError, KeyError, TypeError):
            return ()

    def add(self, loss: Loss) -> None:
        """Remember one more.

        Raises:
            OSError: it cannot be written.
        """
        self._write([*self.read(), loss][-KEPT:])

    def served(self) -> None:
        """A host serves: that ends the row of those before it that never did; raises as `add`."""
        losses = self.read()
        if not all(loss.served for loss in losses):
            self._write([replace(loss, served=True) for loss in losses])

    def forget(self) -> None:
        """Begin anew; raises as `add`."""
        self._path.unlink(missing_ok=True)

    def _load(self) -> list[dict[str, Any]]:
        try:
            return list(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []

    def _write(self, losses: Sequence[Loss]) -> None:
        write_file(self._path, f"{json.dumps([asdict(loss) for loss in losses])}\n".encode(), 0o644)
