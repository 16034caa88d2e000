"""Reads JSON objects and reports all their faults at once."""

from __future__ import annotations

from collections.abc import Callable


class Reader:
    """Takes one value after the other out of a JSON object, and notes every problem, with the value's full name."""

    def __init__(self, values: object, problems: list[str], name: str = "") -> None:
        self._name = name
        self._known: set[str] = set()
        self._values: dict[str, object] = values if isinstance(values, dict) else {}
        self._problems = problems
        if not isinstance(values, dict):
            problems.append(f"{name or 'the document'} must be an object")
            self._problems = []  # what it lacks need not be said

    def _take(self, key: str) -> object:
        self._known.add(key)
        return self._values.get(key)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def object(self, key: str) -> Reader:
        return Reader(self._take(key), self._problems, self._full(key))

    def text(self, key: str, valid: Callable[[str], bool], what: str) -> str:
        value = self._take(key)
        if isinstance(value, str) and valid(value):
            return value
        self._problems.append(f"{self._full(key)} must be {what}")
        return ""

    def number(self, key: str, low: int, high: int) -> int:
        value = self._take(key)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._problems.append(f"{self._full(key)} must be a whole number from {low} to {high}")
        return 0

    def texts(self, key: str, valid: Callable[[str], bool], what: str) -> tuple[str, ...]:
        value = self._take(key)
        if isinstance(value, list) and value and all(isinstance(item, str) and valid(item) for item in value):
            return tuple(value)
        self._problems.append(f"{self._full(key)} must be a list of one or more of: {what}")
        return ()

    def end(self) -> None:
        """Reject keys that nobody read: they are typing errors, or for a newer program."""
        self._problems.extend(f"{self._full(key)} is unknown" for key in sorted(self._values.keys() - self._known))
