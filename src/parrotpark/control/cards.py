"""Which cards an offer's servers have, and whether driver and vLLM can use them: by `cards.yml` and the role's matrix.

Both are data that people have reviewed. What they do not know is not guessed: then there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from parrotpark.cloud import Account, Offer
from parrotpark.control.fit import Card
from parrotpark.control.program import SOURCES

KNOWN = Path(__file__).with_name("cards.yml")
MATRIX = SOURCES.parent / "roles/nvidia/files/matrix.yml"


class CardError(ValueError):
    """Something about cards cannot be; the message is one line that says what can."""


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards of one machine, or of each of several that compute one model; all of one kind."""

    card: str
    count: int
    hosts: int = 1

    def __str__(self) -> str:
        return f"{self.count} x {self.card}{f' in each of {self.hosts} hosts' if self.hosts > 1 else ''}"

    @property
    def each(self) -> Card:
        """Return what one of them can hold and do."""
        major, minor = _dotted(_row(self.card)["compute"])
        return Card(_known()["cards"][self.card]["memory"], (major, minor))

    def refusal(self, branch: int) -> str | None:
        """Say why this branch of the driver and vLLM cannot use them, and what can; None if they can."""
        needs, row = _matrix()["needs"], _row(self.card)
        if _dotted(row["compute"]) < _dotted(needs["compute"]):
            return (
                f"{self.card} is of generation {row['generation']}, too old for vLLM {needs['vllm']}: compute "
                f"capability {needs['compute']} is the least; these would do: {', '.join(_usable())}"
            )
        first, last = max(row["branches"].get("first", 0), needs["branch"]), row["branches"].get("last")
        if branch < first or (last is not None and branch > last):
            right = f"{first} to {last}" if last is not None else f"{first} or newer"
            return (
                f"{self.card} under vLLM {needs['vllm']} needs driver branch {right}, not {branch}: set "
                f"parrotpark_nvidia_branch: {first}"
            )
        return None


def cards_of(said: Mapping[str, Any] | None, offer: Offer, account: Account) -> Cards | None:
    """Tell which cards a server of the offer has: as the inventory has `said`, or as is known; None if nobody knows.

    Raises:
        CardError: it has none, or the inventory names a card that is not known.
    """
    known = _known()
    if said is not None:
        if said["card"] not in known["cards"]:
            raise CardError(f"{offer}: card {said['card']!r} is unknown; known: {', '.join(known['cards'])}")
        if (count := int(said.get("count", 1))) < 1:
            raise CardError(f"{offer}: gpu has count {count}: a server has one card or more")
        machines = next((box.machines for box in account.hosts if box.name == offer.location), ())
        return Cards(said["card"], count, len(machines) or 1)
    if account.provider in known["without"]:
        raise CardError(
            f"{offer}: {account.provider} has no server type with a card: take an offer of another provider, or set "
            "parrotpark_accelerator: cpu"
        )
    for cloud in known["types"]:
        here = cloud["provider"] == account.provider and re.search(cloud.get("endpoint", ""), account.endpoint or "")
        if here and offer.server_type in cloud["types"]:
            return Cards(**cloud["types"][offer.server_type])
    return None


@cache
def _known() -> Mapping[str, Any]:
    return dict(yaml.safe_load(KNOWN.read_text(encoding="utf-8")))


@cache
def _matrix() -> Mapping[str, Any]:
    return dict(yaml.safe_load(MATRIX.read_text(encoding="utf-8")))


def _row(name: str) -> Mapping[str, Any]:
    device = _known()["cards"][name]["device"]
    rows: list[Mapping[str, Any]] = _matrix()["cards"]
    return next(row for row in rows if any(first <= device <= last for first, last in row["devices"]))


def _usable() -> list[str]:
    """List the cards that clouds rent and vLLM can use."""
    least = _dotted(_matrix()["needs"]["compute"])
    rented = dict.fromkeys(found["card"] for cloud in _known()["types"] for found in cloud["types"].values())
    return [name for name in rented if _dotted(_row(name)["compute"]) >= least]


def _dotted(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
