"""Hetzner Cloud, and everything that speaks its API (the local cloud does)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from hcloud import APIException, Client
from hcloud.actions import BoundAction
from hcloud.firewalls import BoundFirewall
from hcloud.images import Image as BootImage
from hcloud.locations import Location
from hcloud.primary_ips import BoundPrimaryIP, PrimaryIP
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import SSHKey
from hcloud.volumes import BoundVolume, Volume

from parrotpark.cloud.account import Account
from parrotpark.cloud.api import RUNNING, Furnishing, Image, Leftover, Offer, Prospect, Server, ServerSpec, epoch
from parrotpark.cloud.errors import CloudError, NameTaken, NotFound, Transient, refuse_unknown
from parrotpark.cloud.hetzner.errors import ErrorTranslator
from parrotpark.cloud.hetzner.furnish import furnish
from parrotpark.cloud.hetzner.images import Snapshots
from parrotpark.cloud.hetzner.views import price_in, selector, server_of, sold_in
from parrotpark.cloud.patience import Patience

TIMEOUT = (5.0, 60.0)  # seconds to connect, to wait for an answer
POLLS = 100  # of an action: within about 5 minutes, as the caller has leases of other servers to renew


def pause(retries: int) -> float:
    """Return how many seconds to wait after that many polls of an action."""
    return min(0.2 * 1.5**retries, 3.0)


class HetznerCloud:
    """One project; the token decides which."""

    def __init__(self, account: Account, token: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        url = (account.endpoint or "").rstrip("/")
        self.name = account.name
        self._typed_errors = ErrorTranslator(url, account.credential_file).typed
        self._patiently = Patience(self._typed_errors, sleep)
        self._client = Client(
            token,
            api_endpoint=url,
            application_name="parrotpark",
            poll_interval=pause,
            poll_max_retries=POLLS,
            timeout=TIMEOUT,
        )
        self._snapshots = Snapshots(self.name, self._client, self._patiently)

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        return furnish(self._client, self._patiently, wanted, check=check)

    def price(self, offer: Offer) -> float | None:
        with self._typed_errors():
            kind = self._client.server_types.get_by_name(offer.server_type)
            return price_in(kind, offer.location) if kind else None

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        with self._typed_errors():
            found = self._client.servers.get_all(label_selector=selector(labels))
            return tuple(self._described(server) for server in found)

    def check(self, specs: Sequence[ServerSpec]) -> None:
        client = self._client
        with self._typed_errors():
            types = {kind.name: kind for kind in client.server_types.get_all()}
            for spec in specs:
                offer = spec.offer
                refuse_unknown("server type", [offer.server_type], types)
                locations = sold_in(types[offer.server_type])
                refuse_unknown(f"location of server type {offer.server_type}", [offer.location], locations)
            images = [image.name or str(image.id) for image in client.images.get_all()]
            refuse_unknown("image", [spec.image for spec in specs], images)
            if keys := {name for spec in specs for name in spec.ssh_keys}:
                refuse_unknown("SSH key", keys, [key.name for key in client.ssh_keys.get_all()])
            if firewalls := {name for spec in specs for name in spec.firewalls}:
                refuse_unknown("firewall", firewalls, [known.name for known in client.firewalls.get_all()])

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:  # noqa: ARG002
        # There is no endpoint for either; a token that may only read is refused by the first call that writes.
        return Prospect((f"{self.name}: only the first creation shows its quota, and whether its token may write",))

    def create(self, spec: ServerSpec) -> Server:
        with self._typed_errors():
            server, actions = self._create_or_find(spec)
        try:
            with self._typed_errors():
                for action in actions:
                    action.wait_until_finished()
            self._patiently(lambda: self._must_run(server))
        except CloudError:
            self.delete(self._described(server))
            raise
        return self._described(server)

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        with self._typed_errors():
            return self._described(self._bound(server).update(labels=dict(labels)))

    def delete(self, server: Server) -> None:
        bound = self._bound(server)
        with suppress(NotFound):
            self._patiently(lambda: bound.delete().wait_until_finished())
            self._wait_until_gone(bound)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        return self._snapshots.usable(labels)

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        return self._snapshots.make(self._bound(server), description, labels)

    def delete_image(self, image: Image) -> None:
        self._snapshots.delete(image)

    def leftovers(self) -> Sequence[Leftover]:
        with self._typed_errors():
            addresses = [each for each in self._client.primary_ips.get_all() if each.assignee_id is None]
            volumes = [each for each in self._client.volumes.get_all() if each.server is None]
        # Only a person who wants to keep it protects what is unused.
        return (
            *(self._leftover("address", each) for each in addresses if not _protected(each)),
            *(self._leftover("volume", each) for each in volumes if not _protected(each)),
        )

    def delete_leftover(self, leftover: Leftover) -> None:
        id_ = int(leftover.id)
        with suppress(NotFound):
            if leftover.kind == "address":
                self._patiently(lambda: self._client.primary_ips.delete(PrimaryIP(id=id_)))
            else:
                self._patiently(lambda: self._client.volumes.delete(Volume(id=id_)))

    def _leftover(self, kind: str, bound: BoundPrimaryIP | BoundVolume) -> Leftover:
        return Leftover(kind, str(bound.id), self.name, str(bound.name), epoch(bound.created))

    def _described(self, bound: BoundServer) -> Server:
        return server_of(bound, self.name)

    def _bound(self, server: Server) -> BoundServer:
        return BoundServer(self._client.servers, {"id": int(server.id)}, complete=False)

    def _create_or_find(self, spec: ServerSpec) -> tuple[BoundServer, list[BoundAction]]:
        """Make the server, or find the one that an earlier call of ours made although its answer was lost."""
        try:
            answer = self._client.servers.create(
                name=spec.name,
                server_type=ServerType(name=spec.offer.server_type),
                location=Location(name=spec.offer.location),
                image=BootImage(id=int(spec.image)) if spec.image.isdecimal() else BootImage(name=spec.image),
                ssh_keys=[SSHKey(name=name) for name in spec.ssh_keys],
                firewalls=[self._firewall(name) for name in spec.firewalls],
                user_data=spec.user_data or None,
                labels=dict(spec.labels),
            )
        except APIException as error:
            if error.code != "uniqueness_error":
                raise
            found = self._client.servers.get_by_name(spec.name)
            if found is None:
                raise Transient(f"a server named {spec.name!r} has just gone: try again") from error
            if found.status == BoundServer.STATUS_DELETING:
                self._wait_until_gone(found)
                return self._create_or_find(spec)
            if found.labels != dict(spec.labels):
                raise NameTaken(
                    f"a server named {spec.name!r} exists with another lease: delete it, or choose another name"
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
            raise Transient(f"server {bound.name} is {bound.status} and does not start: check the cloud's console")

    def _wait_until_gone(self, bound: BoundServer) -> None:
        with suppress(NotFound):
            self._patiently(lambda: self._must_be_gone(bound))

    def _must_be_gone(self, bound: BoundServer) -> NoReturn:
        bound.reload()
        raise Transient(f"server {bound.name} is still listed after its deletion: check the cloud's console")


def _protected(bound: BoundPrimaryIP | BoundVolume) -> bool:
    return bool(bound.protection and bound.protection["delete"])
