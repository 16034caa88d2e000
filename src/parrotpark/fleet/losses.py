"""GPU hosts that were lost, and how long the next one has to wait: what never serves must not bill forever."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path

from parrotpark.fleet.memory import recall
from parrotpark.shared.files import write_file

HOUR = 3600  # seconds
HOURLY = 4  # after this many losses in an hour, whatever their kind, the next host has to wait
PAUSES = (0, 300, 900, 1800, HOUR)  # seconds, by the number of hosts in a row that never served
KEPT = max(HOURLY, len(PAUSES))  # losses; older ones change nothing


@dataclass(frozen=True, slots=True)
class Loss:
    """One run in which hosts were lost."""

    at: int  # epoch seconds
    served: bool  # whether they, or one after them, served
    reason: str


def next_try(losses: Sequence[Loss]) -> int:
    """Return when, in epoch seconds, the next host may be created; the losses are oldest first."""
    if not losses:
        return 0
    in_a_row = len(list(takewhile(lambda loss: not loss.served, reversed(losses))))
    pause = PAUSES[min(in_a_row, len(PAUSES)) - 1] if in_a_row else 0
    oldest = losses[-HOURLY].at + HOUR if len(losses) >= HOURLY else 0
    return max(losses[-1].at + pause, oldest)


class Losses:
    """A small file on the entry server. Without it the next host is created at once, and the count begins again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Loss, ...]:
        """Return the losses, oldest first; none if the file makes no sense."""
        known = recall(self._path) or ()
        try:
            return tuple(Loss(int(loss["at"]), bool(loss["served"]), str(loss["reason"])) for loss in known)
        except (ValueError, KeyError, TypeError):
            return ()

    def add(self, loss: Loss) -> None:
        """Record one more.

        Raises:
            OSError: it cannot be written.
        """
        self._write([*self.read(), loss][-KEPT:])

    def served(self) -> None:
        """Record that a host serves, which ends the series of those that never did; raises as `add`."""
        losses = self.read()
        if not all(loss.served for loss in losses):
            self._write([replace(loss, served=True) for loss in losses])

    def forget(self) -> None:
        """Forget all losses; raises as `add`."""
        self._path.unlink(missing_ok=True)

    def _write(self, losses: Sequence[Loss]) -> None:
        write_file(self._path, f"{json.dumps([asdict(loss) for loss in losses])}\n".encode(), 0o644)
