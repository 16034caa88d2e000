"""What openstacksdk's objects say, in our words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from openstack.compute.v2.server import Server as Found
from openstack.resource import Resource

from parrotpark.cloud.api import OFF, RUNNING, Server

STATUSES = {"ACTIVE": RUNNING, "SHUTOFF": OFF}


def server_of(found: Found, cloud: str, server_type: str, image: str | None) -> Server:
    """Describe a server."""
    return Server(
        id=str(found.id),
        name=str(found.name),
        status=STATUSES.get(found.status, str(found.status).lower()),
        cloud=cloud,
        location=str(found.availability_zone or ""),
        server_type=server_type,
        image=image,
        ipv4=_address(found, 4),
        ipv6=_address(found, 6),
        labels=dict(found.metadata or {}),
        created=epoch(found.created_at),
    )


def known[T: Resource](found: T, field: str = "status") -> T:
    """Return it, if the answer had that field: openstacksdk takes whatever was answered for what it asked for.

    Raises:
        ValueError: the answer was about something else.
    """
    if not getattr(found, field):
        raise ValueError(f"no {field}")
    return found


def epoch(moment: str | None) -> int:
    """Turn a time of the API, which is UTC whether it says so or not, into epoch seconds; none counts as long ago."""
    if not moment:
        return 0
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def is_kept(thing: Any) -> bool:
    """Say whether a person marked it `keep`: as a tag, or as a key of its metadata or properties."""
    marks = (getattr(thing, name, None) or () for name in ("tags", "metadata", "properties"))
    return any("keep" in mark for mark in marks)


def _address(found: Found, version: int) -> str | None:
    """Return the server's address, a floating one before others."""
    every = [each for network in (found.addresses or {}).values() for each in network if each["version"] == version]
    every.sort(key=lambda each: each.get("OS-EXT-IPS:type") != "floating")
    return str(every[0]["addr"]) if every else None
