"""The clouds behind one Protocol: `connect` to one, and only speak `Cloud` from there on."""

from __future__ import annotations

from parrotpark.cloud.api import OFF, RUNNING, Cloud, Image, Leftover, Offer, Server, ServerSpec
from parrotpark.cloud.credentials import Credential
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.cloud.hetzner import HetznerCloud

PROVIDERS = ("hetzner",)

__all__ = [
    "OFF",
    "PROVIDERS",
    "RUNNING",
    "Cloud",
    "Credential",
    "Image",
    "Leftover",
    "Offer",
    "Server",
    "ServerSpec",
    "connect",
]


def connect(provider: str, credential: Credential, endpoint: str | None = None) -> Cloud:
    """Return the cloud project that the credential opens; no call is made yet.

    Raises:
        InvalidRequest: we know no such provider.
    """
    if provider != "hetzner":
        raise InvalidRequest(f"provider {provider!r} is unknown; known: {', '.join(PROVIDERS)}")
    return HetznerCloud(credential, endpoint)
