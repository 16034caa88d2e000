"""What hcloud-python's objects say, in our words."""

from __future__ import annotations

from collections.abc import Mapping

from hcloud.server_types import BoundServerType
from hcloud.servers import BoundServer

from parrotpark.cloud.api import Server, epoch


def server_of(bound: BoundServer, cloud: str) -> Server:
    """Describe a server."""
    net = bound.public_net
    return Server(
        id=str(bound.id),
        name=str(bound.name),
        status=str(bound.status),
        cloud=cloud,
        location=str(bound.location.name) if bound.location else "",
        server_type=str(bound.server_type.name) if bound.server_type else "",
        image=(bound.image.name or str(bound.image.id)) if bound.image else None,
        ipv4=net.ipv4.ip if net and net.ipv4 else None,
        ipv6=net.ipv6.ip if net and net.ipv6 else None,
        labels=dict(bound.labels or {}),
        created=epoch(bound.created),
    )


def selector(labels: Mapping[str, str | None]) -> str | None:
    """Write labels as a label selector, where None means any value; None if there are no labels."""
    return ",".join(key if value is None else f"{key}={value}" for key, value in labels.items()) or None


def sold_in(kind: BoundServerType) -> frozenset[str]:
    """Return the locations where the type has a price."""
    return frozenset(str(price["location"]) for price in kind.prices or ())


def price_in(kind: BoundServerType, location: str) -> float | None:
    """Return what the type costs in the location, in euros an hour without VAT; None if it is not sold there."""
    for price in kind.prices or ():
        if price["location"] == location:
            return float(price["price_hourly"]["net"])
    return None
