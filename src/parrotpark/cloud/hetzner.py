"""Hetzner Cloud, and everything that speaks its API (the local cloud does)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NoReturn

import requests
from hcloud import APIException, Client
from hcloud.actions import Action, ActionFailedException, ActionTimeoutException
from hcloud.firewalls import BoundFirewall
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import SSHKey

from parrotpark.cloud.api import Offer, Place, Server, ServerSpec
from parrotpark.cloud.credentials import Credential
from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unreachable,
)

ENDPOINT = "https://api.hetzner.cloud/v1"
TIMEOUT = (5.0, 60.0)  # seconds to connect, to wait for an answer
PATIENCE = 120.0  # seconds to wait for a locked server to be free, and for a deleted one to be gone

# https://docs.hetzner.cloud/reference/cloud#errors; a code that is not here is the request's own fault.
_ERRORS: Mapping[str, type[CloudError]] = {
    "unauthorized": AuthFailed,
    "forbidden": AuthFailed,
    "token_readonly": AuthFailed,
    "resource_unavailable": OutOfCapacity,
    "placement_error": OutOfCapacity,
    "resource_limit_exceeded": QuotaExceeded,
    "rate_limit_exceeded": RateLimited,
    "not_found": NotFound,
    "locked": Transient,
    "conflict": Transient,
    "maintenance": Transient,
    "service_error": Transient,
    "server_error": Transient,
    "unavailable": Transient,
    "bad_gateway": Transient,
    "timeout": Transient,
}


class HetznerCloud:
    """One project; the credential decides which."""

    provider = "hetzner"

    def __init__(
        self, credential: Credential, endpoint: str | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._credential = credential
        self._sleep = sleep
        self._client = Client(
            credential.token,
            api_endpoint=self._endpoint,
            application_name="parrotpark",
            poll_interval=lambda retries: min(0.2 * 1.5**retries, 3.0),
            timeout=TIMEOUT,
        )

    def offers(self) -> Sequence[Offer]:
        with self._typed_errors():
            types = self._client.server_types.get_all()
        return tuple(
            Offer(
                self.provider,
                Place(price["location"], kind.name),
                Decimal(price["price_hourly"]["net"]),
            )
            for kind in types
            if kind.name is not None
            for price in kind.prices or ()
            if price["location"] in _available_locations(kind)
        )

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        selector = ",".join(key if value is None else f"{key}={value}" for key, value in labels.items())
        with self._typed_errors():
            return tuple(_server(found) for found in self._client.servers.get_all(label_selector=selector))

    def create(self, spec: ServerSpec) -> Server:
        with self._typed_errors():
            firewalls = [self._firewall(name) for name in spec.firewalls]
        try:
            with self._typed_errors():
                server = self._create_or_find(spec, firewalls)
        except (InvalidRequest, NotFound) as error:
            self._name_the_unknown(spec, error)
        try:
            with self._typed_errors():
                for action in self._client.servers.get_actions(server, status=["running"]):
                    action.wait_until_finished()
                server.reload()
        except CloudError:
            self.delete(_server(server))
            raise
        return _server(server)

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

    def _create_or_find(self, spec: ServerSpec, firewalls: list[BoundFirewall]) -> BoundServer:
        """Make the server, or find the one that an earlier call of ours made before its answer was lost."""
        try:
            answer = self._client.servers.create(
                name=spec.name,
                server_type=ServerType(name=spec.place.server_type),
                location=Location(name=spec.place.location),
                image=Image(name=spec.image),
                ssh_keys=[SSHKey(name=name) for name in spec.ssh_keys],
                firewalls=list(firewalls),
                user_data=spec.user_data or None,
                labels=dict(spec.labels),
            )
        except APIException as error:
            if error.code != "uniqueness_error":
                raise
            found = self._client.servers.get_by_name(spec.name)
            if found is None or found.labels != dict(spec.labels):
                raise InvalidRequest(
                    f"a server named {spec.name!r} is there with another lease: delete it, or choose another name"
                ) from error
            return found
        return answer.server

    def _firewall(self, name: str) -> BoundFirewall:
        found = self._client.firewalls.get_by_name(name)
        if found is None:
            raise _unknown("firewall", name, [known.name for known in self._client.firewalls.get_all()])
        return found

    def _name_the_unknown(self, spec: ServerSpec, error: CloudError) -> NoReturn:
        """Raise a refusal that lists the valid names if one of ours is unknown, else the API's own words."""
        client = self._client
        names: Sequence[tuple[str, Sequence[str], Callable[[], Sequence[str | None]]]] = (
            ("server type", [spec.place.server_type], lambda: [t.name for t in client.server_types.get_all()]),
            ("location", [spec.place.location], lambda: [loc.name for loc in client.locations.get_all()]),
            ("image", [spec.image], lambda: [i.name or str(i.id) for i in client.images.get_all()]),
            ("SSH key", spec.ssh_keys, lambda: [key.name for key in client.ssh_keys.get_all()]),
        )
        for kind, wanted, list_known in names:
            if not wanted:
                continue
            with self._typed_errors():
                known = list_known()
            for name in wanted:
                if name not in known:
                    raise _unknown(kind, name, known) from error
        raise error

    def _must_be_gone(self, bound: BoundServer) -> NoReturn:
        bound.reload()
        raise Transient(f"server {bound.id} is still listed after its deletion: look into the cloud's console")

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

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except APIException as error:
            raise self._typed(str(error.code), error.message) from error
        except ActionFailedException as error:
            raise self._typed(*_failure(error.action)) from error
        except ActionTimeoutException as error:
            raise Transient(f"{error}: run it again") from error
        except requests.Timeout as error:
            raise Transient(f"{self._endpoint} does not answer in time: run it again") from error
        except requests.ConnectionError as error:
            raise Unreachable(
                f"nothing answers at {self._endpoint}: start the local cloud, or check the endpoint and the network"
            ) from error
        except requests.RequestException as error:
            raise InvalidRequest(f"the endpoint {self._endpoint!r} cannot be called: {error}") from error

    def _typed(self, code: str, message: str) -> CloudError:
        # An answer without the API's error envelope (a proxy's, say) is known by its HTTP status alone.
        kind = Transient if code.startswith("5") else _ERRORS.get(code, InvalidRequest)
        advice = {
            AuthFailed: f"check {self._credential.source}, and that it may write",
            OutOfCapacity: "try another location or server type, or later",
            QuotaExceeded: "ask the provider to raise the limit of the project",
            RateLimited: "wait a few minutes",
            Transient: "run it again",
        }.get(kind)
        return kind(f"{self.provider}: {message} ({code})" + (f": {advice}" if advice else ""))


def _available_locations(kind: ServerType) -> frozenset[str]:
    return frozenset(str(place.location.name) for place in kind.locations or () if place.available is not False)


def _failure(action: Action) -> tuple[str, str]:
    if action.error is None:
        return "action_failed", f"{action.command} failed"
    return action.error["code"], action.error["message"]


def _unknown(kind: str, name: str, known: Sequence[str | None]) -> InvalidRequest:
    names = ", ".join(sorted(other for other in known if other)) or "none"
    return InvalidRequest(f"{kind} {name!r} is unknown to the cloud; it knows: {names}")


def _server(bound: BoundServer) -> Server:
    net = bound.public_net
    ipv4 = net.ipv4.ip if net and net.ipv4 else None
    ipv6 = net.ipv6.ip if net and net.ipv6 else None
    image = (bound.image.name or str(bound.image.id)) if bound.image else None
    return Server(
        id=str(bound.id),
        name=str(bound.name),
        status=str(bound.status),
        provider=HetznerCloud.provider,
        location=str(bound.location.name) if bound.location else "",
        server_type=str(bound.server_type.name) if bound.server_type else "",
        image=image,
        ipv4=ipv4,
        ipv6=ipv6,
        labels=dict(bound.labels or {}),
    )
