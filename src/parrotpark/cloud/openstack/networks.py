"""The network that hosts attach to directly."""

from __future__ import annotations

from openstack.connection import Connection
from openstack.network.v2.network import Network

from parrotpark.cloud.errors import InvalidRequest


def outside(connection: Connection, named: str | None) -> Network:
    """Choose the network: the one that is named, or else the only one whose addresses the world can reach.

    Where several are external or shared, one that is both is for hosts to attach to.

    Raises:
        InvalidRequest: there is none, or several.
    """
    every = sorted(connection.network.networks(), key=lambda network: str(network.name))
    if named:
        found = [network for network in every if named in (network.name, network.id)]
    else:
        found = [network for network in every if network.is_router_external or network.is_shared]
        found = [network for network in found if network.is_router_external and network.is_shared] or found
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{network.name} ({network.id})" for network in found or every) or "none"
    if found:
        raise InvalidRequest(f"a host could attach to several networks: name one under `networks` in the file: {names}")
    if named:
        raise InvalidRequest(f"network {named!r} is unknown to the cloud; it knows: {names}")
    raise InvalidRequest(
        "no network of the project gives hosts a public address, and floating IPs are not made by us: "
        f"ask the provider for an external network that hosts may attach to; it knows: {names}"
    )
