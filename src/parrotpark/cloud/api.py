"""The seam between Parrotpark and any cloud: what we ask of it, and the plain data that travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

RUNNING = "running"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Offer:
    """Where a server may be created, and as what type."""

    cloud: str
    location: str
    server_type: str

    def __str__(self) -> str:
        return f"{self.server_type} in {self.location} at {self.cloud}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server as the provider lists it."""

    id: str
    name: str
    status: str  # RUNNING, OFF, or on the way to one of them
    cloud: str
    location: str
    server_type: str
    image: str | None  # None when its image is gone
    ipv4: str | None
    ipv6: str | None
    labels: Mapping[str, str]
    created: int  # epoch seconds, by the provider's clock

    @property
    def offer(self) -> Offer:
        """What it was created from."""
        return Offer(self.cloud, self.location, self.server_type)

    @property
    def key(self) -> tuple[str, str]:
        """What no other server has: an id is one within its cloud only."""
        return self.cloud, self.id


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server to be made."""

    name: str
    offer: Offer
    image: str
    labels: Mapping[str, str]
    ssh_keys: tuple[str, ...] = ()
    firewalls: tuple[str, ...] = ()
    user_data: str = field(default="", repr=False)  # it holds keys


@dataclass(frozen=True, slots=True)
class Image:
    """A snapshot of ours, ready to boot from, anywhere in its cloud and nowhere else."""

    id: str
    cloud: str
    description: str
    created: int  # epoch seconds, by the provider's clock
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What bills although nothing uses it."""

    kind: str  # "address", "volume" or "snapshot"
    id: str
    cloud: str
    name: str
    created: int  # epoch seconds, by the provider's clock

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What may come in. Everything else is dropped; going out, everything is allowed."""

    protocol: str  # "tcp", "udp" or "icmp"
    port: str | None  # one, or a range such as 8000-8010; None for icmp
    sources: tuple[str, ...]  # networks in CIDR notation


@dataclass(frozen=True, slots=True)
class Furnishing:
    """What servers of a project are created with: one SSH key and one firewall, by their names."""

    ssh_key: str
    public_key: str  # in OpenSSH notation
    firewall: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is known of whether something could be made, in a line each that names the cloud."""

    notes: tuple[str, ...] = ()  # what is told, or that it is not
    faults: tuple[str, ...] = ()  # what would fail, and what to do


class Cloud(Protocol):
    """A place of one provider in which an image can be booted anywhere. Every method may raise any `CloudError`.

    A provider may have more such places than one project has: then each is a cloud of its own.
    """

    @property
    def name(self) -> str:
        """What the inventory calls it."""

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        """Make the SSH key and the firewall so, under their names; return in a line each what changed.

        With `check`, only say what would change. Nothing else of the project is touched, and no server loses a
        firewall on the way.
        """

    def price(self, offer: Offer) -> float | None:
        """Return what such a server costs in euros an hour, without VAT; None if the provider's API does not tell."""

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        """List the servers that carry all these labels; None means any value."""

    def check(self, specs: Sequence[ServerSpec]) -> None:
        """Raise `InvalidRequest` if a spec names what the cloud does not have, with the names it has."""

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        """Tell whether the credential may make servers, and the quota is enough for `number` of each offer.

        Where only a creation would tell, say so: nothing is made.
        """

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
        """List the addresses and volumes that belong to no server, and snapshots of a disk that no image needs."""

    def delete_leftover(self, leftover: Leftover) -> None:
        """Delete it; one that is gone already is fine."""


def epoch(moment: datetime | None) -> int:
    """Turn a time of the API into epoch seconds; a missing one counts as long ago."""
    return int(moment.timestamp()) if moment else 0


def carries(labels: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    """Say whether all the wanted labels are there; None means any value."""
    return all(key in labels and value in (None, labels[key]) for key, value in wanted.items())


def same_key(one: str, other: str) -> bool:
    """Compare public keys without their comments, which an API may have changed."""
    return one.split()[:2] == other.split()[:2]
