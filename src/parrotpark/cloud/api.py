"""The seam between Parrotpark and any cloud: what we ask of it, and the plain data that travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

RUNNING = "running"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Offer:
    """Where a server may be created, and as what type."""

    location: str
    server_type: str

    def __str__(self) -> str:
        return f"{self.server_type} in {self.location}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server as the provider lists it."""

    id: str
    name: str
    status: str  # RUNNING, OFF, or on the way to one of them
    provider: str
    location: str
    server_type: str
    image: str | None  # None when its image is gone
    ipv4: str | None
    ipv6: str | None
    labels: Mapping[str, str]
    created: int  # epoch seconds, by the provider's clock


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server to be made."""

    name: str
    offer: Offer
    image: str
    labels: Mapping[str, str]
    ssh_keys: tuple[str, ...] = ()
    firewalls: tuple[str, ...] = ()
    user_data: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A snapshot of ours, ready to boot from."""

    id: str
    description: str
    created: int  # epoch seconds, by the provider's clock
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leftover:
    """An address or a volume that bills although nothing uses it."""

    kind: str  # "address" or "volume"
    id: str
    name: str
    created: int  # epoch seconds, by the provider's clock

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Cloud(Protocol):
    """One project of one provider. Every method may raise any `CloudError`."""

    @property
    def provider(self) -> str:
        """The provider's name."""

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        """List the servers that carry all these labels; None means any value."""

    def check(self, specs: Sequence[ServerSpec]) -> None:
        """Raise `InvalidRequest` if a spec names what the cloud does not have, with the names it has."""

    def create(self, spec: ServerSpec) -> Server:
        """Make the server and return once it runs.

        Repeating the call is harmless: a server of this name with exactly these labels is returned as it is; one with
        other labels raises `NameTaken`. A server that could not be brought up is deleted before the error is raised, so
        that nothing bills unseen.
        """

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        """Replace all labels of the server."""

    def delete(self, server: Server) -> None:
        """Delete the server and return once it is gone; one that is gone already is fine."""

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        """List the snapshots that carry all these labels and can be booted from, newest first."""

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        """Switch the server off, image it, and return once the image can be booted from.

        Repeating the call is harmless: an image of this server with exactly these labels is waited for and returned.
        """

    def delete_image(self, image: Image) -> None:
        """Delete the image; one that is gone already is fine."""

    def leftovers(self) -> Sequence[Leftover]:
        """List the addresses and volumes that belong to no server."""

    def delete_leftover(self, leftover: Leftover) -> None:
        """Delete the address or volume; one that is gone already is fine."""
