"""Hetzner's rate limit: so many calls an hour for each project, of which one more is allowed every so often."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

HOURLY = 3600  # as at Hetzner, where it comes back by one a second
# Test runs side by side share a project here, which at Hetzner each would have of its own.
HOURLY_OF = {"test": 10 * HOURLY}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a project may still ask, and when it may ask all of it again."""

    granted: bool
    limit: int
    remaining: int
    reset: int  # Unix time

    @property
    def headers(self) -> dict[str, str]:
        """As every answer says it."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimits:
    """Counts calls by project, in the memory of this process. It is asked by one thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # project: calls, and when there were so many

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
