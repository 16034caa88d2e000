"""Scaleway's SDK with limits of time, whole lists, and a look at answers before they are believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests
from scaleway.block.v1 import BlockV1API
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway.instance.v1.custom_api import InstanceUtilsV1API
from scaleway.ipam.v1 import IpamV1API
from scaleway.marketplace.v2 import MarketplaceV2API
from scaleway_core.api import API
from scaleway_core.client import Client

TIMEOUT = (5.0, 60.0)  # seconds to connect, to wait for an answer
PAGE = 100  # entries, the most that the API gives at once

# What the SDK takes from an answer; where none of it is there, it would find empty lists.
_TOPS = frozenset(
    (
        "id",
        "image",
        "images",
        "ips",
        "local_images",
        "rules",
        "security_group",
        "security_groups",
        "server",
        "servers",
        "snapshots",
        "ssh_keys",
        "task",
        "volumes",
    )
)


class Refused(Exception):
    """The API has answered that it will not do it."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status, body.get("type"))
        self.status = status
        self.body = body


class Unreadable(Exception):
    """What has answered is not the API."""


class _Calls(API):
    """How every API of the SDK makes its calls: the SDK's own way waits for ever, and expects JSON from a proxy."""

    def __init__(self, client: Client, session: requests.Session) -> None:
        super().__init__(client, bypass_validation=True)  # it would ask for an access key, which no call needs
        self._session = session

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> requests.Response:
        return self._session.request(
            method,
            f"{self.client.api_url}{path}",
            params={key: str(value).lower() if value is False else value for key, value in (params or {}).items()},
            headers={"Content-Type": "application/json", **(headers or {})},
            data=body if body is None or isinstance(body, bytes) else json.dumps(body),
            timeout=TIMEOUT,
            allow_redirects=False,  # the secret key would go along
        )

    def _throw_on_error(self, res: requests.Response) -> None:
        if res.status_code == HTTPStatus.NO_CONTENT:
            return
        try:
            body = res.json()
        except ValueError:
            body = None
        if not res.ok and isinstance(body, dict) and "message" in body:
            raise Refused(res.status_code, body)
        if not res.ok or not isinstance(body, dict) or not _TOPS & body.keys():
            raise Unreadable(f"status {res.status_code}")


class _Instance(_Calls, InstanceUtilsV1API):
    """Servers, images, addresses and security groups."""


class _Block(_Calls, BlockV1API):
    """Volumes and snapshots."""


class _Iam(_Calls, IamV1Alpha1API):
    """SSH keys."""


class _Ipam(_Calls, IpamV1API):
    """When an address was made."""


class _Marketplace(_Calls, MarketplaceV2API):
    """Scaleway's own images."""


class Apis:
    """What is asked of one zone, for one project."""

    def __init__(self, url: str, secret_key: str, zone: str, project: str) -> None:
        self.zone = zone
        self.project = project
        session = requests.Session()
        session.headers["X-Auth-Token"] = secret_key
        session.headers["User-Agent"] = "parrotpark"
        client = Client(
            api_url=url, default_zone=zone, default_region=zone.rpartition("-")[0], default_project_id=project
        )
        self.instance = _Instance(client, session)
        self.block = _Block(client, session)
        self.iam = _Iam(client, session)
        self.ipam = _Ipam(client, session)
        self.marketplace = _Marketplace(client, session)


def pages[T](ask: Callable[[int], Sequence[T]]) -> list[T]:
    """Join the pages that `ask` returns for 1 and on. The SDK's own way asks for a page that is known to be empty."""
    found: list[T] = []
    for page in range(1, 1000):
        found += (part := ask(page))
        if len(part) < PAGE:
            break
    return found
