"""What can be done to the fleet: plain data, and its wording for people."""

from __future__ import annotations

from dataclasses import dataclass

from parrotpark.cloud import Image, Leftover, Server
from parrotpark.shared.slot_document import SlotDocument


@dataclass(frozen=True, slots=True)
class Renew:
    """Give the server's lease another end: upkeep, not a change."""

    server: Server
    until: int

    def __str__(self) -> str:
        return f"{self.server.name}: renew its lease"


@dataclass(frozen=True, slots=True)
class MarkServing:
    """Record that a waking host now serves, and begin its ordinary lease."""

    server: Server
    until: int

    def __str__(self) -> str:
        return f"{self.server.name}: it serves"


@dataclass(frozen=True, slots=True)
class MarkSilent:
    """Record that a host that served does not answer, and give it a short time to come back by itself."""

    server: Server
    until: int

    def __str__(self) -> str:
        return f"{self.server.name}: its models stopped answering"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete a server at once: it has no right to exist, or serves nobody."""

    server: Server
    reason: str
    lost: bool = False  # whether it is a host that should have served

    def __str__(self) -> str:
        return f"{self.server.name}: delete at once, {self.reason}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete what bills although no server uses it."""

    leftover: Leftover

    def __str__(self) -> str:
        return f"{self.leftover}: delete, no server uses it"


@dataclass(frozen=True, slots=True)
class Delete:
    """Let the running answers of the server in the slot finish, then delete it."""

    server: Server
    slot: SlotDocument
    reason: str

    def __str__(self) -> str:
        return f"{self.server.name}: drain and delete, {self.reason}"


@dataclass(frozen=True, slots=True)
class Create:
    """Make a server for the slot."""

    slot: SlotDocument
    images: tuple[Image, ...]  # the current one of every cloud that has it

    def __str__(self) -> str:
        return f"{self.slot.name}: create from the golden image"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A server is wanted in the slot, but cannot be made now."""

    slot: SlotDocument
    reason: str

    def __str__(self) -> str:
        return f"{self.slot.name}: {self.reason}"


type Action = Renew | MarkServing | MarkSilent | Sweep | Remove | Delete | Create | Shortfall
