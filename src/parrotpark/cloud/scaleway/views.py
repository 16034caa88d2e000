"""What the SDK's objects say, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from scaleway.instance.v1 import Server as Bound

from parrotpark.cloud.api import OFF, Server, epoch

KEEP = "keep"  # the tag with which a person spares what nothing uses


def server_of(bound: Bound, cloud: str) -> Server:
    """Describe a server."""
    addresses = {str(address.family): address.address for address in reversed(bound.public_ips)}
    return Server(
        id=there(bound.id),
        name=there(bound.name),
        status=OFF if bound.state == "stopped" else str(bound.state),
        cloud=cloud,
        location=str(bound.zone),
        server_type=str(bound.commercial_type),
        image=bound.image.id if bound.image else None,
        ipv4=addresses.get("inet"),
        ipv6=addresses.get("inet6"),
        labels=labels_of(bound.tags),
        created=epoch(bound.creation_date),
    )


def labels_of(tags: Sequence[str]) -> dict[str, str]:
    """Read labels from tags such as `key=value`; a tag of another form is a person's own."""
    return dict(tag.split("=", 1) for tag in tags or () if "=" in tag)


def tags_of(labels: Mapping[str, str]) -> list[str]:
    """Write labels as tags."""
    return [f"{key}={value}" for key, value in labels.items()]


def is_id(text: str) -> bool:
    """Say whether it is written as Scaleway writes ids."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def there[T](value: T | None) -> T:
    """Return what every answer of the API has.

    Raises:
        ValueError: it is not there.
    """
    if value is None:
        raise ValueError("something is missing that is always there")
    return value
