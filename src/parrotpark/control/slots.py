"""Slots: the permanent places that GPU hosts step into, and the document that makes a host step into one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from parrotpark.shared.slot_document import SlotDocument

NAME = "gpu-{}"
KEEPALIVE = 25  # seconds; short enough for the NAT tables of common routers


class SlotError(ValueError):
    """Slots do not fit the network; the message is one line."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place with a permanent name and overlay address."""

    name: str
    address: str


def slots(count: int, network: str, first: int = 11) -> tuple[Slot, ...]:
    """Lay out `count` slots in the overlay `network` (CIDR), from its `first` address on.

    Raises:
        SlotError: the network is malformed, or too small.
    """
    try:
        overlay = ipaddress.ip_network(network)
    except ValueError as error:
        raise SlotError(f"the overlay network {network!r} is not a network: {error}") from error
    if count < 0 or first < 1:
        raise SlotError("the number of slots must be 0 or more, and the first address 1 or more")
    # The last address of an IPv4 network is its broadcast address.
    if first + count > overlay.num_addresses - 1:
        raise SlotError(f"{count} slots from address {first} on do not fit into {overlay}")
    return tuple(Slot(NAME.format(n), str(overlay[first + n - 1])) for n in range(1, count + 1))


def slot_document(
    slot: Slot,
    *,
    network: str,
    wireguard_private_key: str,
    peer_public_key: str,
    peer_endpoint: str,
    allowed_ips: list[str],
    ssh_host_key: str,
    vllm_api_key: str,
    listen_port: int,
    keepalive: int = KEEPALIVE,
) -> SlotDocument:
    """Write the identity of whatever host steps into `slot`; `network` gives the overlay address its prefix."""
    return SlotDocument(
        name=slot.name,
        wireguard_private_key=wireguard_private_key,
        wireguard_address=f"{slot.address}/{ipaddress.ip_network(network).prefixlen}",
        wireguard_listen_port=listen_port,
        peer_public_key=peer_public_key,
        peer_endpoint=peer_endpoint,
        peer_allowed_ips=tuple(allowed_ips),
        peer_keepalive=keepalive,
        ssh_host_key=ssh_host_key,
        vllm_api_key=vllm_api_key,
    )
