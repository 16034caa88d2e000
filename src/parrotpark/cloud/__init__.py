"""The clouds behind one Protocol: `connect` to one, and only speak `Cloud` from there on."""

from __future__ import annotations

from parrotpark.cloud.account import Account
from parrotpark.cloud.api import (
    OFF,
    RUNNING,
    Cloud,
    Furnishing,
    Image,
    Leftover,
    Offer,
    Prospect,
    Rule,
    Server,
    ServerSpec,
)
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.cloud.several import SeveralClouds

PROVIDERS = ("hetzner", "openstack", "scaleway", "static")

__all__ = [
    "OFF",
    "PROVIDERS",
    "RUNNING",
    "Account",
    "Cloud",
    "Furnishing",
    "Image",
    "Leftover",
    "Offer",
    "Prospect",
    "Rule",
    "Server",
    "ServerSpec",
    "SeveralClouds",
    "connect",
]


def connect(account: Account) -> Cloud:
    """Return the cloud that the account opens; no call is made yet.

    Raises:
        AuthFailed: its credential cannot be read.
        InvalidRequest: we know no such provider, or the account lacks what this one needs.
    """
    # Each brings a library of its own, which need not be there for the others.
    match account.provider:
        case "hetzner":
            from parrotpark.cloud.hetzner import HetznerCloud

            return HetznerCloud(account, account.credential())
        case "openstack":
            from parrotpark.cloud.openstack import OpenStackCloud

            return OpenStackCloud(account, account.credential())
        case "scaleway":
            from parrotpark.cloud.scaleway import ScalewayCloud

            return ScalewayCloud(account, account.credential())
        case "static":
            from parrotpark.cloud.static import StaticCloud

            return StaticCloud(account)
    raise InvalidRequest(f"provider {account.provider!r} is unknown; known: {', '.join(PROVIDERS)}")
