"""Repeats calls that fail temporarily, and waits for what takes time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from parrotpark.cloud.errors import Transient, Unfinished, Unreachable

PATIENCE = 120.0  # seconds to wait for a server to be free, to run, or to be gone


@dataclass(frozen=True, slots=True)
class Patience:
    """Knows how to wait, and how to translate errors."""

    typed_errors: Callable[[], AbstractContextManager[None]]
    sleep: Callable[[float], None]

    def __call__[T](self, call: Callable[[], T], limit: float = PATIENCE) -> T:
        """Repeat the call while it raises `Transient`, for `limit` seconds.

        Raises:
            CloudError: the error is not temporary, or has not passed in time.
        """
        waited, pause = 0.0, 0.5
        while True:
            try:
                with self.typed_errors():
                    return call()
            except (Unfinished, Unreachable):
                raise  # these have already waited long enough
            except Transient:
                if waited >= limit:
                    raise
            self.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 5.0)
