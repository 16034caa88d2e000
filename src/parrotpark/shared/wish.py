"""The wish: what a person, or the calendar, wants of the GPU hosts. A one-line text file on the entry server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parrotpark.shared.files import write_file


class WishError(Exception):
    """The wish is not valid, or cannot be read; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How many GPU hosts are to serve; None means as many as are configured for `awake`."""

    hosts: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `asleep`, `awake` or `awake N`.

        Raises:
            WishError: it is none of these.
        """
        match = re.fullmatch(r"(asleep)|awake(?: +([1-9][0-9]{0,2}))?", text.strip())
        if match is None:
            raise WishError(f"the wish {text.strip()!r} is not a valid wish: write asleep, awake or awake N")
        if match[1]:
            return cls(0)
        return cls(int(match[2]) if match[2] else None)

    def render(self) -> str:
        """Write the wish as text."""
        if self.hosts == 0:
            return "asleep"
        return "awake" if self.hosts is None else f"awake {self.hosts}"

    def fitting(self, slots: int) -> Self:
        """Return the wish, unless it is for more hosts than there are slots.

        Raises:
            WishError: it is.
        """
        if self.hosts is not None and self.hosts > slots:
            raise WishError(f"the wish is for {self.hosts} hosts, but there are {slots} slots: wish for fewer")
        return self


ASLEEP = Wish(0)


def read_wish(path: Path) -> Wish:
    """Read the wish.

    Raises:
        WishError: there is none, or it cannot be read.
    """
    try:
        return Wish.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WishError(f"there is no wish in {path}: run parrotpark wake or parrotpark sleep") from None
    except (OSError, UnicodeError) as error:
        raise WishError(f"the wish in {path} cannot be read: {error}") from error


def write_wish(path: Path, wish: Wish) -> bool:
    """Write the wish and say whether it has changed.

    Raises:
        WishError: it cannot be written.
    """
    text = f"{wish.render()}\n"
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        write_file(path, text.encode(), 0o644)
    except (OSError, UnicodeError) as error:
        raise WishError(f"the wish cannot be written to {path}: {error}") from error
    return True
