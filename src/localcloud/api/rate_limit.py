"""Hetzner's rate limit: a number of calls per hour for each project, which comes back little by little."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

HOURLY = 3600  # as at Hetzner, where one call comes back every second
# Test runs side by side share a project here; at Hetzner each would have its own.
HOURLY_OF = {"test": 10 * HOURLY}


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many calls a project has left, and when it has all of them again."""

    granted: bool
    limit: int
    remaining: int
    reset: int  # Unix time

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say so in every answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimits:
    """Counts calls by project, in the memory of this process. Only one thread uses it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # project: calls left, and when that was

    def take(self, project: str) -> Allowance:
        """Count a call, unless none is left."""
        limit = HOURLY_OF.get(project, HOURLY)
        now = self._clock()
        left, then = self._left.get(project, (float(limit), now))
        left = min(limit, left + max(0.0, now - then) * limit / 3600)
        granted = left >= 1
        left -= granted
        self._left[project] = (left, now)
        return Allowance(granted, limit, int(left), math.ceil(now + (limit - left) * 3600 / limit))
