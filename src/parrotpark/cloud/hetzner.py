"""Hetzner Cloud, and everything that speaks its API (the local cloud does)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NoReturn

from hcloud import APIException, Client
from hcloud.actions import BoundAction
from hcloud.firewalls import BoundFirewall
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import BoundServerType, ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import SSHKey

from parrotpark.cloud.api import RUNNING, Offer, Place, Server, ServerSpec
from parrotpark.cloud.credentials import Credential
from parrotpark.cloud.errors import CloudError, InvalidRequest, NameTaken, NotFound, Transient, Unreachable
from parrotpark.cloud.hetzner_errors import ErrorTranslator

ENDPOINT = "https://api.hetzner.cloud/v1"
TIMEOUT = (5.0, 60.0)  # seconds to connect, to wait for an answer
PATIENCE = 120.0  # seconds to wait for a server to be free, to run, or to be gone


class HetznerCloud:
    """One project; the credential decides which. The environment variable HCLOUD_ENDPOINT stands in for `endpoint`."""

    provider = "hetzner"

    def __init__(
        self, credential: Credential, endpoint: str | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        url = (endpoint or os.environ.get("HCLOUD_ENDPOINT") or ENDPOINT).rstrip("/")
        self._typed_errors = ErrorTranslator(url, credential.source).typed
        self._sleep = sleep
        self._client = Client(
            credential.token,
            api_endpoint=url,
            application_name="parrotpark",
            poll_interval=lambda retries: min(0.2 * 1.5**retries, 3.0),
            timeout=TIMEOUT,
        )

    def offers(self) -> Sequence[Offer]:
        with self._typed_errors():
            types = self._client.server_types.get_all()
        return tuple(
            Offer(self.provider, Place(location, str(kind.name)), price)
            for kind in types
            for location, price in _prices(kind).items()
            if location in _available_locations(kind)
        )

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        selector = ",".join(key if value is None else f"{key}={value}" for key, value in labels.items())
        with self._typed_errors():
            return tuple(_server(found) for found in self._client.servers.get_all(label_selector=selector))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        client = self._client
        with self._typed_errors():
            types = {kind.name: kind for kind in client.server_types.get_all()}
            for spec in specs:
                place = spec.place
                _refuse_unknown("server type", [place.server_type], types)
                sold_in = _prices(types[place.server_type])
                _refuse_unknown(f"location of server type {place.server_type}", [place.location], sold_in)
            images = [image.name or str(image.id) for image in client.images.get_all()]
            _refuse_unknown("image", [spec.image for spec in specs], images)
            if keys := {name for spec in specs for name in spec.ssh_keys}:
                _refuse_unknown("SSH key", keys, [key.name for key in client.ssh_keys.get_all()])
            if firewalls := {name for spec in specs for name in spec.firewalls}:
                _refuse_unknown("firewall", firewalls, [known.name for known in client.firewalls.get_all()])

    def create(self, spec: ServerSpec) -> Server:
        with self._typed_errors():
            server, actions = self._create_or_find(spec)
        try:
            with self._typed_errors():
                for action in actions:
                    action.wait_until_finished()
            self._patiently(lambda: self._must_run(server))
        except CloudError:
            self.delete(_server(server))
            raise
        return _server(server)

    def start(self, server: Server) -> Server:
        bound = self._bound(server)
        self._patiently(lambda: bound.power_on().wait_until_finished())
        self._patiently(lambda: self._must_run(bound))
        return _server(bound)

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        with self._typed_errors():
            return _server(self._bound(server).update(labels=dict(labels)))

    def delete(self, server: Server) -> None:
        bound = self._bound(server)
        try:
            self._patiently(lambda: bound.delete().wait_until_finished())
            self._patiently(lambda: self._must_be_gone(bound))
        except NotFound:
            return

    def _bound(self, server: Server) -> BoundServer:
        return BoundServer(self._client.servers, {"id": int(server.id)}, complete=False)

    def _create_or_find(self, spec: ServerSpec) -> tuple[BoundServer, list[BoundAction]]:
        """Make the server, or find the one that an earlier call of ours made before its answer was lost."""
        try:
            answer = self._client.servers.create(
                name=spec.name,
                server_type=ServerType(name=spec.place.server_type),
                location=Location(name=spec.place.location),
                image=Image(id=int(spec.image)) if spec.image.isdecimal() else Image(name=spec.image),
                ssh_keys=[SSHKey(name=name) for name in spec.ssh_keys],
                firewalls=[self._firewall(name) for name in spec.firewalls],
                user_data=spec.user_data or None,
                labels=dict(spec.labels),
            )
        except APIException as error:
            if error.code != "uniqueness_error":
                raise
            found = self._client.servers.get_by_name(spec.name)
            if found is None or found.labels != dict(spec.labels):
                raise NameTaken(
                    f"a server named {spec.name!r} is there with another lease: delete it, or choose another name"
                ) from error
            return found, []
        return answer.server, [answer.action, *answer.next_actions]

    def _firewall(self, name: str) -> BoundFirewall:
        found = self._client.firewalls.get_by_name(name)
        if found is None:
            raise NotFound(f"firewall {name!r} is not in the project: make it first")
        return found

    def _must_run(self, bound: BoundServer) -> None:
        bound.reload()
        if bound.status != RUNNING:
            raise Transient(f"server {bound.name} is {bound.status} and does not start: look into the cloud's console")

    def _must_be_gone(self, bound: BoundServer) -> NoReturn:
        bound.reload()
        raise Transient(f"server {bound.name} is still listed after its deletion: look into the cloud's console")

    def _patiently(self, call: Callable[[], None]) -> None:
        """Repeat a call over passing trouble: hcloud-python does not retry `locked`."""
        waited, pause = 0.0, 0.5
        while True:
            try:
                with self._typed_errors():
                    return call()
            except Unreachable:
                raise
            except Transient:
                if waited >= PATIENCE:
                    raise
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 5.0)


def _prices(kind: BoundServerType) -> dict[str, Decimal]:
    """Return the hourly net prices in EUR, by location."""
    return {price["location"]: Decimal(price["price_hourly"]["net"]) for price in kind.prices or ()}


def _available_locations(kind: BoundServerType) -> frozenset[str]:
    return frozenset(str(place.location.name) for place in kind.locations or () if place.available is not False)


def _refuse_unknown(what: str, wanted: Iterable[str], known: Iterable[str | None]) -> None:
    names = sorted({name for name in known if name})
    for name in wanted:
        if name not in names:
            raise InvalidRequest(f"{what} {name!r} is unknown to the cloud; it knows: {', '.join(names) or 'none'}")


def _server(bound: BoundServer) -> Server:
    net = bound.public_net
    return Server(
        id=str(bound.id),
        name=str(bound.name),
        status=str(bound.status),
        provider=HetznerCloud.provider,
        location=str(bound.location.name) if bound.location else "",
        server_type=str(bound.server_type.name) if bound.server_type else "",
        image=(bound.image.name or str(bound.image.id)) if bound.image else None,
        ipv4=net.ipv4.ip if net and net.ipv4 else None,
        ipv6=net.ipv6.ip if net and net.ipv6 else None,
        labels=dict(bound.labels or {}),
        created=_epoch(bound.created),
    )


def _epoch(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
