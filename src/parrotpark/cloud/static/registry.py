"""Which boxes are claimed, and from which fingerprint each was provisioned: one small file on the entry server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from parrotpark.cloud.errors import InvalidRequest, Transient
from parrotpark.shared.files import write_file
from parrotpark.shared.lock import locked


@dataclass(frozen=True, slots=True)
class Claim:
    """A box in use: what the provider's list would say of a server."""

    id: str
    name: str
    labels: Mapping[str, str]
    created: int  # epoch seconds
    image: str


@dataclass(frozen=True, slots=True)
class Provision:
    """What a box was last provisioned from, and when (epoch seconds)."""

    fingerprint: str
    at: int


@dataclass(frozen=True, slots=True)
class Book:
    """All that is known; claims and provisions by box."""

    claims: Mapping[str, Claim] = field(default_factory=dict)
    provisions: Mapping[str, Provision] = field(default_factory=dict)
    made: int = 0  # claims so far, so that none is taken for a later one of the same box


class Registry:
    """The file, and beside it a lock. Nothing else knows what it says, so one that makes no sense is left as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Book:
        """Return what is known; nothing if there is no file yet.

        Raises:
            InvalidRequest: the file makes no sense.
            Transient: it cannot be read.
        """
        try:
            return _book(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise Transient(f"the registry of boxes cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidRequest(
                f"{self._path} makes no sense ({type(error).__name__}: {error}): repair it, or move it away; then no "
                "box is claimed, and make wake records anew which are provisioned"
            ) from error

    def change[T](self, change: Callable[[Book], tuple[Book, T]]) -> T:
        """Replace what is known by what `change` makes of it, and return what else it says; nobody comes between.

        Raises:
            Transient: the file cannot be read or written.
            CloudError: as `read`, or by `change`; then the file stays.
        """
        try:
            with locked(self._path.with_suffix(".lock"), lambda: None):
                before = self.read()
                after, said = change(before)
                if after != before:
                    write_file(self._path, f"{json.dumps(asdict(after), indent=1)}\n".encode(), 0o600)
                return said
        except OSError as error:
            raise Transient(f"the registry of boxes cannot be written: {error}") from error


def _book(values: Any) -> Book:
    """Read strictly: what is not as we write it was not written by us. Raises what such values raise."""
    if values.keys() != {"claims", "provisions", "made"}:
        raise ValueError(f"it has {', '.join(values)}")
    book = Book(
        claims={box: Claim(**claim) for box, claim in values["claims"].items()},
        provisions={box: Provision(**provision) for box, provision in values["provisions"].items()},
        made=values["made"],
    )
    for claim in book.claims.values():
        _texts(claim.id, claim.name, claim.image, *claim.labels.keys(), *claim.labels.values())
    _texts(*(provision.fingerprint for provision in book.provisions.values()))
    _numbers(book.made, *(each.created for each in book.claims.values()), *(p.at for p in book.provisions.values()))
    return book


def _texts(*values: object) -> None:
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise TypeError(f"{wrong[0]!r} is no text")


def _numbers(*values: object) -> None:
    if wrong := [value for value in values if type(value) is not int]:
        raise TypeError(f"{wrong[0]!r} is not a whole number")
