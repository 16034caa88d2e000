"""Scaleway Instances: one zone of one project, whose servers boot from block storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from scaleway.block.v1 import Volume
from scaleway.instance.v1 import Ip, ServerAction, ServerType, VolumeServerTemplate, VolumeVolumeType
from scaleway.instance.v1 import Server as Bound
from scaleway.instance.v1 import Volume as OldVolume
from scaleway.marketplace.v2 import LocalImage, LocalImageType

from parrotpark.cloud.account import Account
from parrotpark.cloud.api import (
    RUNNING,
    Furnishing,
    Image,
    Leftover,
    Offer,
    Prospect,
    Server,
    ServerSpec,
    carries,
    epoch,
)
from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NameTaken,
    NotFound,
    OutOfCapacity,
    Transient,
    refuse_unknown,
)
from parrotpark.cloud.patience import Patience
from parrotpark.cloud.scaleway.client import PAGE, Apis, pages
from parrotpark.cloud.scaleway.errors import ErrorTranslator
from parrotpark.cloud.scaleway.furnish import furnish, security_groups, ssh_keys
from parrotpark.cloud.scaleway.images import Images
from parrotpark.cloud.scaleway.views import KEEP, is_id, labels_of, server_of, tags_of, there

STARTING = 300.0  # seconds to start, as the caller has leases of other servers to renew; a small server takes 6
ENDING = 300.0  # seconds to end; a server that does nothing takes 50
# Bytes of a root volume. Scaleway's own images with drivers ask for as much, and it holds vLLM and the weights for a
# card of 80 GB. An image of it bills by the month and boots only to one at least as large: so no more than that.
ROOT = 125_000_000_000


class _Starting(Transient):
    """The server has been told to run, and does not yet."""


class ScalewayCloud:
    """One zone of one project."""

    def __init__(self, account: Account, token: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make no call yet.

        Raises:
            InvalidRequest: the account does not say its zone or its project.
        """
        if not account.region or not account.project:
            raise InvalidRequest(
                f"cloud {account.name} needs region, a zone such as fr-par-2, and project, the id of its project"
            )
        url = (account.endpoint or "").rstrip("/")
        self.name = account.name
        self._zone = account.region
        self._typed_errors = ErrorTranslator(url, account.credential_file).typed
        self._patiently = Patience(self._typed_errors, sleep)
        self._apis = Apis(url, token, account.region, account.project)
        self._images = Images(self.name, self._apis, self._patiently)

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        return furnish(self._apis, self._patiently, wanted, check=check)

    def price(self, offer: Offer) -> float | None:
        """Return what the server alone costs: its volume and its address come to a few cents more."""
        if offer.location != self._zone:
            return None
        with self._typed_errors():
            kind = self._types().get(offer.server_type)
            return float(kind.hourly_price) if kind else None

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:  # noqa: ARG002
        # Its IAM tells both, but of an organisation that a secret key does not name, and to who may read that.
        return Prospect((f"{self.name}: only the first creation shows its quota, and what its key may do",))

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        with self._typed_errors():
            found = [self._described(server) for server in self._all()]
        return tuple(server for server in found if carries(server.labels, labels))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        with self._typed_errors():
            refuse_unknown("server type", [spec.offer.server_type for spec in specs], self._types())
            for spec in specs:
                self._refuse_elsewhere(spec.offer)
                self._image_id(spec)
                self._group_id(spec)
            self._refuse_unknown_keys(specs)

    def create(self, spec: ServerSpec) -> Server:
        self._refuse_elsewhere(spec.offer)
        told: dict[str, bool] = {}  # of each server that was met on the way: whether we had it powered on
        try:
            return self._described(self._patiently(lambda: self._running(spec, told), STARTING))
        except CloudError as error:
            for server_id in told:
                self._delete(server_id)
            if isinstance(error, _Starting):
                raise OutOfCapacity(f"{error}: try another zone or server type, or later") from error
            raise

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        with self._typed_errors():
            answer = self._apis.instance._update_server(server_id=server.id, tags=tags_of(labels))
            return self._described(there(answer.server))

    def delete(self, server: Server) -> None:
        self._delete(server.id)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        return self._images.usable(labels)

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        return self._images.make(server.id, description, labels)

    def delete_image(self, image: Image) -> None:
        self._images.delete(image.id)

    def leftovers(self) -> Sequence[Leftover]:
        with self._typed_errors():
            addresses = [each for each in self._addresses() if each.server is None]
            volumes = [each for each in self._volumes() if not each.references and each.status == "available"]
            old = [each for each in self._old_volumes() if each.server is None]
        reserved = [(each, self._reserved(each)) for each in addresses if KEEP not in each.tags]
        return (
            *(self._left("address", each.id, each.address, made) for each, made in reserved if made),
            *(self._left("volume", each.id, each.name, each.created_at) for each in volumes if KEEP not in each.tags),
            *(self._left("volume", each.id, each.name, each.creation_date) for each in old if KEEP not in each.tags),
            *self._images.leftovers(),
        )

    def delete_leftover(self, leftover: Leftover) -> None:
        match leftover.kind:
            case "address":
                self._delete_address(leftover.id)
            case "snapshot":
                self._images.delete_leftover(leftover.id)
            case _:
                self._delete_volume(leftover.id)

    # ---- Creation ---------------------------------------------------------------------------------------------------

    def _running(self, spec: ServerSpec, told: dict[str, bool]) -> Bound:
        """Take the next step towards a server that runs: three calls make one, and any of them may have been the last.

        Raises:
            _Starting: it is on its way.
            OutOfCapacity: it has given up.
            CloudError: the cloud refused.
        """
        server = self._oldest(spec)
        if server is None:
            made = self._post(spec)
            server = self._oldest(spec) or made  # names are not unique: another run may have been as fast
        id_ = there(server.id)
        told.setdefault(id_, False)
        if server.state == RUNNING:
            return server
        if server.state == "locked":
            raise InvalidRequest(f"server {server.name} is locked: ask the provider why")
        if server.state == "stopping":
            raise Transient(f"server {server.name} is stuck in state stopping: check the cloud's console")
        if server.state != "starting":
            if told[id_]:
                detail = f" ({server.state_detail})" if server.state_detail else ""
                raise OutOfCapacity(
                    f"server {server.name} is {server.state} again instead of running{detail}: "
                    "try another zone or server type, or later"
                )
            if spec.user_data:
                self._apis.instance.set_server_user_data(id_, "cloud-init", spec.user_data.encode())
            self._apis.instance.server_action(server_id=id_, action=ServerAction.POWERON)
            told[id_] = True
        raise _Starting(f"server {server.name} does not start within {STARTING / 60:.0f} minutes")

    def _oldest(self, spec: ServerSpec) -> Bound | None:
        """Find the server of this name, and delete its twins: every run decides for the same one.

        Raises:
            NameTaken: it has other labels.
        """
        labels = dict(spec.labels)
        found = [server for server in self._all(name=spec.name) if server.name == spec.name]
        found.sort(key=lambda server: (epoch(server.creation_date), str(server.creation_date), server.id))
        for twin in found[1:]:
            if labels_of(twin.tags) == labels:
                self._delete(twin.id)
        if found and labels_of(found[0].tags) != labels:
            raise NameTaken(
                f"a server named {spec.name!r} exists with another lease: delete it, or choose another name"
            )
        return found[0] if found else None

    def _post(self, spec: ServerSpec) -> Bound:
        self._refuse_unknown_keys([spec])
        answer = self._apis.instance.create_server(
            name=spec.name,
            commercial_type=spec.offer.server_type,
            image=self._image_id(spec),
            volumes={"0": VolumeServerTemplate(volume_type=VolumeVolumeType.SBS_VOLUME, size=ROOT)},
            security_group=self._group_id(spec),
            dynamic_ip_required=True,  # one that goes with the server
            project=self._apis.project,
            tags=tags_of(spec.labels),
        )
        return there(answer.server)

    def _image_id(self, spec: ServerSpec) -> str:
        """Find the image: an own one by its id, or Scaleway's by its label.

        Raises:
            InvalidRequest: there is none for this server type.
        """
        with suppress(NotFound), self._typed_errors():  # the API knows neither an unknown id nor an unknown label
            if is_id(spec.image):
                return there(self._apis.instance.get_image(image_id=spec.image).image).id
            for image in self._local_images(spec.image):
                if spec.offer.server_type in image.compatible_commercial_types:
                    return there(image.id)
        known = pages(
            lambda page: self._apis.marketplace.list_images(include_eol=False, page=page, page_size=PAGE).images
        )
        refuse_unknown("image", [spec.image], [image.label for image in known])
        raise InvalidRequest(f"image {spec.image!r} is not made for server type {spec.offer.server_type}")

    def _group_id(self, spec: ServerSpec) -> str | None:
        if not spec.firewalls:
            return None
        groups = {group.name: group.id for group in security_groups(self._apis)}
        refuse_unknown("firewall", spec.firewalls, groups)
        if len(set(spec.firewalls)) > 1:
            raise InvalidRequest(f"a server at Scaleway has one firewall: choose one of {', '.join(spec.firewalls)}")
        return groups[spec.firewalls[0]]

    def _refuse_unknown_keys(self, specs: Sequence[ServerSpec]) -> None:
        if keys := {name for spec in specs for name in spec.ssh_keys}:
            refuse_unknown("SSH key", keys, [key.name for key in ssh_keys(self._apis)])

    def _refuse_elsewhere(self, offer: Offer) -> None:
        refuse_unknown("location", [offer.location], [self._zone])

    # ---- Deletion ---------------------------------------------------------------------------------------------------

    def _delete(self, server_id: str) -> None:
        """Delete the server with its root volume and its addresses, which the API leaves behind."""
        try:
            server = self._patiently(lambda: self._get(server_id))
        except NotFound:
            return
        with suppress(NotFound):
            self._patiently(lambda: self._must_be_gone(server_id), ENDING)
        if root := server.volumes.get("0"):
            self._delete_volume(there(root.id))
        for address in server.public_ips:
            if not address.dynamic and KEEP not in address.tags:
                self._delete_address(there(address.id))

    def _must_be_gone(self, server_id: str) -> None:
        server = self._get(server_id)
        allowed = set(map(str, server.allowed_actions))
        if server.state == "stopped":
            self._apis.instance.delete_server(server_id=server_id)
        elif "terminate" in allowed:
            self._apis.instance.server_action(server_id=server_id, action=ServerAction.TERMINATE)
        elif server.state == "starting" and "stop_in_place" in allowed:  # from there it can be terminated
            self._apis.instance.server_action(server_id=server_id, action=ServerAction.STOP_IN_PLACE)
        raise Transient(f"server {server.name} is {server.state} and does not go: check the cloud's console")

    def _delete_volume(self, volume_id: str) -> None:
        try:
            self._patiently(lambda: self._must_be_free(volume_id))
        except NotFound:  # or an old one, of which block storage does not know
            with suppress(NotFound):
                self._patiently(lambda: self._apis.instance.delete_volume(volume_id=volume_id))

    def _must_be_free(self, volume_id: str) -> None:
        volume: Volume = self._apis.block.get_volume(volume_id=volume_id)
        if volume.references or volume.status == "in_use":
            raise Transient(
                f"volume {volume.name} is {volume.status}, and no server is there: check the cloud's console"
            )
        if volume.status != "deleting":
            self._apis.block.delete_volume(volume_id=volume_id)

    def _delete_address(self, address_id: str) -> None:
        with suppress(NotFound):
            self._patiently(lambda: self._apis.instance.delete_ip(ip=address_id))

    # ---- What is there ----------------------------------------------------------------------------------------------

    def _described(self, bound: Bound) -> Server:
        return server_of(bound, self.name)

    def _left(self, kind: str, id_: str, name: str, created: datetime | None) -> Leftover:
        return Leftover(kind, there(id_), self.name, name, epoch(created))

    def _get(self, server_id: str) -> Bound:
        return there(self._apis.instance.get_server(server_id=server_id).server)

    def _all(self, name: str | None = None) -> list[Bound]:
        ask, project = self._apis.instance.list_servers, self._apis.project
        return pages(lambda page: ask(project=project, name=name, page=page, per_page=PAGE).servers)

    def _types(self) -> dict[str, ServerType]:
        ask = self._apis.instance.list_servers_types
        return dict(pages(lambda page: list(ask(page=page, per_page=PAGE).servers.items())))

    def _local_images(self, label: str) -> list[LocalImage]:
        ask, kind = self._apis.marketplace.list_local_images, LocalImageType.INSTANCE_SBS
        return pages(lambda page: ask(image_label=label, type_=kind, page=page, page_size=PAGE).local_images)

    def _addresses(self) -> list[Ip]:
        ask, project = self._apis.instance.list_ips, self._apis.project
        return pages(lambda page: ask(project=project, page=page, per_page=PAGE).ips)

    def _reserved(self, address: Ip) -> datetime | None:
        """Ask when the address was made, which only IPAM knows; None if that may not be asked.

        It is somebody's, as our servers have none of this kind: it must not go before it could be used.
        """
        with suppress(AuthFailed, NotFound), self._typed_errors():
            return self._apis.ipam.get_ip(ip_id=address.ipam_id).created_at
        return None

    def _volumes(self) -> list[Volume]:
        ask, project = self._apis.block.list_volumes, self._apis.project
        return pages(lambda page: ask(project_id=project, include_deleted=False, page=page, page_size=PAGE).volumes)

    def _old_volumes(self) -> list[OldVolume]:
        ask, project = self._apis.instance.list_volumes, self._apis.project
        return pages(lambda page: ask(project=project, page=page, per_page=PAGE).volumes)
