"""The lease: the promise, written on a server's labels, of what it is for and until when it may live."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

PREFIX = "parrotpark-"
ROLE = f"{PREFIX}role"
SLOT = f"{PREFIX}slot"
STATE = f"{PREFIX}state"
MAKER = f"{PREFIX}maker"
FINGERPRINT = f"{PREFIX}fingerprint"
UNTIL = f"{PREFIX}until"
PART = f"{PREFIX}part-"  # of the fingerprint, on images; its name follows

GPU = "gpu"  # the role of a GPU host
GPU_IMAGE = "gpu-image"  # and of what one is made from

MAX_LENGTH = 63  # of a label value, by the Hetzner Cloud API
FINGERPRINT_LENGTH = 32
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


class LeaseError(ValueError):
    """Labels are not a lease, or a value cannot be a label; the message is one line."""


class State(StrEnum):
    """How far a GPU host has come."""

    BAKING = "baking"  # the golden image is made from it, then it is deleted; see bake_server.py
    WAKING = "waking"  # made from the golden image; this and the following are the scheduler's
    SERVING = "serving"
    SILENT = "silent"  # it served, and its models no longer answer


@dataclass(frozen=True, slots=True)
class Lease:
    """Who made a server, as what, from which fingerprint, until when (epoch seconds) it may live."""

    role: str
    slot: str
    state: State
    maker: str
    fingerprint: str
    until: int

    def __post_init__(self) -> None:
        """Raises `LeaseError` unless every value can be a label."""
        for name in ("role", "slot", "maker", "fingerprint"):
            value = getattr(self, name)
            if not _VALUE.fullmatch(value):
                raise LeaseError(
                    f"{name} {value!r} cannot be a label: 1 to {MAX_LENGTH} letters, digits, '-', '_' or '.', "
                    "beginning and ending with a letter or digit"
                )
        if self.until < 0:
            raise LeaseError(f"until {self.until} is not a time: give epoch seconds")

    def labels(self) -> dict[str, str]:
        """Write the lease as labels."""
        return {
            ROLE: self.role,
            SLOT: self.slot,
            STATE: self.state.value,
            MAKER: self.maker,
            FINGERPRINT: self.fingerprint,
            UNTIL: str(self.until),
        }

    @classmethod
    def parse(cls, labels: Mapping[str, str]) -> Self:
        """Read a lease from a server's labels; other labels are ignored.

        Raises:
            LeaseError: a label is missing or its value is not valid.
        """
        missing = [key for key in (ROLE, SLOT, STATE, MAKER, FINGERPRINT, UNTIL) if key not in labels]
        if missing:
            raise LeaseError(f"no lease: label {', '.join(missing)} is missing")
        if labels[STATE] not in list(State):
            raise LeaseError(f"label {STATE} is {labels[STATE]!r}, not one of {', '.join(State)}")
        if not re.fullmatch(r"[0-9]{1,12}", labels[UNTIL]):
            raise LeaseError(f"label {UNTIL} is {labels[UNTIL]!r}, not epoch seconds")
        return cls(
            role=labels[ROLE],
            slot=labels[SLOT],
            state=State(labels[STATE]),
            maker=labels[MAKER],
            fingerprint=labels[FINGERPRINT],
            until=int(labels[UNTIL]),
        )

    def valid(self, now: float) -> bool:
        """Say whether the server may still live at `now` (epoch seconds)."""
        return now < self.until

    def with_changes(self, *, state: State | None = None, until: int | None = None) -> Self:
        """Return the lease with another state or end; what is None stays."""
        return replace(
            self,
            state=self.state if state is None else state,
            until=self.until if until is None else until,
        )


def label_value(text: str) -> str:
    """Turn any text, such as a computer's name, into a valid label value."""
    value = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:MAX_LENGTH].strip("._-")
    return value or "unknown"
