"""The metadata service at 169.254.169.254: what a server may ask about itself. Its address identifies it.

Paths and answers are Hetzner's: https://docs.hetzner.cloud/reference/cloud#server-metadata
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from localcloud.core.catalogue import LOCATIONS
from localcloud.core.store import State, Store


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service says about one server."""

    hostname: str
    instance_id: int
    public_ipv4: str
    location: str
    public_keys: tuple[str, ...]
    user_data: str


def facts(state: State, address: str) -> Facts | None:
    """Find the server that asks."""
    server = state.server_at(address)
    if server is None:
        return None
    return Facts(server.name, server.id, address, server.location, server.ssh_public_keys, server.user_data)


def answer(about: Facts, path: str) -> str | None:
    """Answer one path below /hetzner/v1, or return None if there is nothing."""
    zone = next(location.network_zone for location in LOCATIONS if location.name == about.location)
    single = {
        "availability-zone": f"{about.location}-dc1",
        "hostname": about.hostname,
        "instance-id": str(about.instance_id),
        "public-ipv4": about.public_ipv4,
        "public-keys": json.dumps(about.public_keys),
        "region": zone,
    }
    if path == "metadata":
        # JSON values are also YAML, and clients read the whole as YAML.
        return "".join(f"{key}: {value}\n" for key, value in single.items())
    if path == "userdata":
        return about.user_data or None
    return single.get(path.removeprefix("metadata/"))


def create_app(store: Store) -> Starlette:
    """Make the service from what the API stores."""

    async def serve(request: Request) -> Response:
        about = facts(store.state, request.client.host) if request.client else None
        text = None if about is None else answer(about, request.path_params["path"].rstrip("/"))
        return PlainTextResponse("not found\n", 404) if text is None else PlainTextResponse(text)

    return Starlette(routes=[Route("/hetzner/v1/{path:path}", serve)])
