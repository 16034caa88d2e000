"""Scarcity on demand: offers without capacity and limits of projects, so that people and tests see their effects.

A file of its own beside the state: the command line writes it while the daemon, which owns the state, runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scarcity:
    """What cannot be had."""

    sold_out: frozenset[tuple[str, str]] = frozenset()  # server type and location
    limits: Mapping[str, int] = field(default_factory=dict)  # project: the most servers it may have

    def with_offer(self, server_type: str, location: str, *, sold_out: bool) -> Scarcity:
        """Sell an offer out, or give its capacity back."""
        offer = {(server_type, location)}
        return replace(self, sold_out=self.sold_out | offer if sold_out else self.sold_out - offer)

    def with_limit(self, project: str, servers: int | None) -> Scarcity:
        """Limit a project to that many servers; None lifts the limit."""
        others = {name: limit for name, limit in self.limits.items() if name != project}
        return replace(self, limits=others if servers is None else {**others, project: servers})

    def lines(self) -> list[str]:
        """Write it for people."""
        return [
            *(f"no capacity for {server_type} in {location}" for server_type, location in sorted(self.sold_out)),
            *(f"limit of project {project}: {servers} servers" for project, servers in sorted(self.limits.items())),
        ]


def read(directory: Path) -> Scarcity:
    """Read what is scarce; by default nothing is."""
    path = _file(directory)
    if not path.exists():
        return Scarcity()
    stored = json.loads(path.read_text())
    return Scarcity(frozenset((kind, place) for kind, place in stored["sold_out"]), stored["limits"])


def write(directory: Path, scarcity: Scarcity) -> None:
    """Make this scarce, from the next request for a server on."""
    unfinished = _file(directory).with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(scarcity), default=sorted))
    unfinished.rename(_file(directory))


def _file(directory: Path) -> Path:
    return directory / "scarcity.json"
