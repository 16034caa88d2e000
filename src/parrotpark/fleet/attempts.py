"""Where a GPU host was tried for: an offer that could not be had rests for a while, and people see what was tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from parrotpark.cloud import Offer
from parrotpark.cloud.acquire import Attempt
from parrotpark.fleet.memory import recall
from parrotpark.shared.files import write_file

REST = 600  # seconds; capacity seldom comes back sooner, and asking costs a wake about ten seconds an offer
KEPT = 20  # attempts; older ones interest nobody


def awake(offers: Sequence[Offer], attempts: Sequence[Attempt], now: float) -> tuple[Offer, ...]:
    """Leave out the offers that rest; if all rest, all are tried again. The attempts are oldest first."""
    asleep = resting(attempts, now)
    return tuple(offer for offer in offers if offer not in asleep) or tuple(offers)


def resting(attempts: Sequence[Attempt], now: float) -> frozenset[Offer]:
    """List the offers that rest."""
    last = {attempt.offer: attempt for attempt in attempts}
    return frozenset(offer for offer, tried in last.items() if tried.refused and now - tried.at < REST)


class Attempts:
    """A small file on the entry server. Without it every offer is tried at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Attempt, ...]:
        """Return the attempts, oldest first; none if the file makes no sense."""
        known = recall(self._path) or ()
        try:
            return tuple(Attempt(**{**values, "offer": Offer(**values["offer"])}) for values in known)
        except (ValueError, KeyError, TypeError):
            return ()

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Record more.

        Raises:
            OSError: they cannot be written.
        """
        kept = [asdict(attempt) for attempt in [*self.read(), *attempts][-KEPT:]]
        write_file(self._path, f"{json.dumps(kept)}\n".encode(), 0o644)

    def forget(self) -> None:
        """Let no offer rest; raises as `add`."""
        self._path.unlink(missing_ok=True)
