"""What people see while they wait: the time so far, what is being done, and how long that usually takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from parrotpark.shared.clock import Clock
from parrotpark.shared.history import History


class Progress:
    """Writes one line for every step, and remembers how long the steps took."""

    def __init__(self, clock: Clock, history: History, write: Callable[[str], None]) -> None:
        self._clock = clock
        self._history = history
        self._write = write
        self._start = clock.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock.now() - self._start

    def say(self, text: str, step: str = "") -> None:
        """Write a line; with `step`, also how many seconds that usually takes."""
        usual = self.usual(step) if step else None
        self._write(f"{self.elapsed:5.0f} s  {text}" + (f" (usually {usual:.0f} s)" if usual is not None else ""))

    def usual(self, step: str) -> float | None:
        """Return how many seconds a step usually takes."""
        return self._history.usual(step)

    @contextmanager
    def step(self, step: str, text: str) -> Iterator[None]:
        """Write a line, and remember how long the block took, unless it failed."""
        self.say(text, step)
        start = self._clock.now()
        yield
        self.took(step, self._clock.now() - start)

    def took(self, step: str, seconds: float) -> None:
        """Remember how many seconds a step took."""
        self._history.add(step, seconds, self._clock.now())
