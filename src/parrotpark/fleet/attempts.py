"""Where a GPU host was tried for: an offer that could not be had rests for a while, and people see what was tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parrotpark.cloud import Offer
from parrotpark.cloud.acquire import Attempt
from parrotpark.shared.files import write_file

REST = 600  # seconds; capacity seldom comes back sooner, and asking costs a wake about ten seconds an offer
KEPT = 20  # attempts; older ones interest nobody


def awake(offers: Sequence[Offer], attempts: Sequence[Attempt], now: float) -> tuple[Offer, ...]:
    """Leave out the offers that rest; if all rest, all are tried again. The attempts are oldest first."""
    last = {attempt.offer: attempt for attempt in attempts}
    ready = tuple(
        offer for offer in offers if not ((tried := last.get(offer)) and tried.refused and now - tried.at < REST)
    )
    return ready or tuple(offers)


class Attempts:
    """A small file on the entry server. Without it every offer is tried at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Attempt, ...]:
        """Return the attempts, oldest first; none if the file makes no sense."""
        try:
            return tuple(Attempt(**{**values, "offer": Offer(**values["offer"])}) for values in self._load())
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

    def _load(self) -> list[dict[str, Any]]:
        try:
            return list(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []
