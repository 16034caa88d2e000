"""OpenStack, as many providers offer it: one region of one project, through openstacksdk."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import openstack
from openstack import exceptions as sdk
from openstack.compute.v2.server import Server as Found

from parrotpark.cloud.account import Account
from parrotpark.cloud.api import Furnishing, Image, Leftover, Offer, Prospect, Server, ServerSpec, carries
from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NameTaken,
    NotFound,
    Transient,
    Unfinished,
    Unreachable,
    refuse_unknown,
)
from parrotpark.cloud.openstack.credential import network_named, settings
from parrotpark.cloud.openstack.errors import ErrorTranslator
from parrotpark.cloud.openstack.furnish import furnish, group_named
from parrotpark.cloud.openstack.images import Snapshots
from parrotpark.cloud.openstack.leftovers import Unused
from parrotpark.cloud.openstack.networks import outside
from parrotpark.cloud.openstack.prospect import prospect
from parrotpark.cloud.openstack.views import epoch, known, server_of
from parrotpark.cloud.patience import Patience

TIMEOUT = 60.0  # seconds to connect, and to wait for an answer
BUILDING = 300.0  # seconds for a server to run: the caller has leases of other servers to renew
LONGEST_USER_DATA = 65_535  # characters of base64, by nova


class OpenStackCloud:
    """One region of one project; the credential decides which project."""

    def __init__(self, account: Account, credential_text: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make no call yet.

        Raises:
            AuthFailed: the credential is no `clouds.yaml` with one cloud, or one that we cannot use.
        """
        chosen = settings(account, credential_text)
        self.name = account.name
        self._network = network_named(chosen)
        url = str(chosen["auth"].get("auth_url"))
        self._errors = ErrorTranslator(url, str(chosen["region_name"]), account.credential_file)
        self._typed_errors = self._errors.typed
        self._patiently = Patience(self._typed_errors, sleep)
        try:
            self._connection = openstack.connect(
                load_yaml_config=False, load_envvars=False, app_name="parrotpark", api_timeout=TIMEOUT, **chosen
            )
        except (sdk.ConfigException, TypeError, ValueError) as error:
            raise AuthFailed(f"{account.credential_file} cannot be used: {error}") from error
        self._snapshots = Snapshots(self.name, self._connection, self._patiently)
        self._unused = Unused(self.name, self._connection, self._patiently)

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        # A step that is repeated, as its answer was lost, finds its own work done: what changes is known beforehand.
        changes = self._patiently(lambda: furnish(self._connection, wanted, check=True))
        if changes and not check:
            self._patiently(lambda: furnish(self._connection, wanted, check=False))
        return changes

    def price(self, offer: Offer) -> float | None:  # noqa: ARG002
        return None  # OpenStack knows no prices, and no two providers tell theirs alike

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        with self._typed_errors():
            # The API's own filter by metadata is the operator's: asked by anybody else it finds nothing.
            found = [each for each in self._connection.compute.servers() if carries(each.metadata, labels)]
            return tuple(map(self._described, found))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        compute = self._connection.compute
        with self._typed_errors():
            flavours = {flavour.name: flavour for flavour in compute.flavors()}
            zones = [zone.name for zone in compute.availability_zones() if zone.state["available"]]
            images = {name: self._snapshots.named(name) for name in {spec.image for spec in specs}}
            names = self._snapshots.names()
            keys = [key.name for key in compute.keypairs()]
            groups = [group.name for group in self._connection.network.security_groups()]
            outside(self._connection, self._network)
        for spec in specs:
            refuse_unknown("flavour", [spec.offer.server_type], flavours)
            refuse_unknown("availability zone", [spec.offer.location], zones)
            image, flavour = images[spec.image], flavours[spec.offer.server_type]
            if image is None:
                refuse_unknown("image", [spec.image], names)
                raise NotFound(f"image {spec.image!r} went away while it was looked at: try again")
            refuse_unknown("SSH key", spec.ssh_keys, keys)
            refuse_unknown("security group", spec.firewalls, groups)
            # nova checks it too, but only at the create call, or later still and without a word.
            if flavour.disk and image.min_disk > flavour.disk:
                raise InvalidRequest(
                    f"image {spec.image!r} needs a disk of {image.min_disk} GB, and flavour {flavour.name} has "
                    f"{flavour.disk}: bake on a flavour with a smaller disk"
                )

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        with self._typed_errors():
            return prospect(self._connection, self.name, offers, number)

    def create(self, spec: ServerSpec) -> Server:
        data = base64.b64encode(spec.user_data.encode()).decode()
        if len(data) > LONGEST_USER_DATA:  # nova would repeat all of it in its refusal
            raise InvalidRequest(
                f"the user data of {spec.name} is {len(data)} characters of base64, and OpenStack takes "
                f"{LONGEST_USER_DATA}: shorten it"
            )
        with self._typed_errors():
            server_id = self._find(spec) or self._begin(spec, data)
        try:
            built = self._built(server_id)
            if built.status == "ERROR":
                fault = built.fault or {}
                raise self._errors.given_up(spec.name, int(fault.get("code", 0)), str(fault.get("message", "")))
            # Names are not unique here. Whoever made one at the same time looks as late, and sees both.
            if self._patiently(lambda: self._holders(spec.name)[0].id) == built.id:
                return self._patiently(lambda: self._described(built))
        except CloudError:
            self._delete(server_id)
            raise
        self._delete(server_id)
        return self.create(spec)

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        with self._typed_errors():
            Found.existing(id=server.id).replace_metadata(self._connection.compute, dict(labels))
            return self._described(self._seen(server.id))

    def delete(self, server: Server) -> None:
        self._delete(server.id)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        return self._snapshots.usable(labels)

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        return self._snapshots.make(server.id, description, labels)

    def delete_image(self, image: Image) -> None:
        self._snapshots.delete(image.id)

    def leftovers(self) -> Sequence[Leftover]:
        with self._typed_errors():
            return (*self._unused.all(), *self._snapshots.abandoned(self._connection.compute.servers()))

    def delete_leftover(self, leftover: Leftover) -> None:
        if leftover.kind == "snapshot":
            self._snapshots.delete(leftover.id)
        else:
            self._unused.delete(leftover)

    def _holders(self, name: str) -> list[Found]:
        """List the servers of this name, the one that was there first before the others."""
        found = [
            each for each in self._connection.compute.servers() if each.name == name and each.task_state != "deleting"
        ]
        return sorted(found, key=lambda each: (epoch(each.created_at), each.id))

    def _find(self, spec: ServerSpec) -> str | None:
        """Find the server that an earlier call of ours made although its answer was lost."""
        holders = self._holders(spec.name)
        ours = [each for each in holders if each.metadata == dict(spec.labels)]
        if len(ours) < len(holders) and holders[0] not in ours:
            raise NameTaken(
                f"a server named {spec.name!r} exists with another lease: delete it, or choose another name"
            )
        for each in ours:
            if each.status != "ERROR":
                return str(each.id)
            self._delete(each.id)  # what was given up before is no reason to give up now
        return None

    def _begin(self, spec: ServerSpec, data: str) -> str:
        compute = self._connection.compute
        flavours = {flavour.name: flavour.id for flavour in compute.flavors()}
        flavour = flavours.get(spec.offer.server_type)
        image = self._snapshots.named(spec.image)
        if flavour is None or image is None:
            what = f"image {spec.image!r}" if flavour else f"flavour {spec.offer.server_type!r}"
            raise NotFound(f"{what} is not in the cloud (any more)")
        more: dict[str, Any] = {"user_data": data} if data else {}
        if len(spec.ssh_keys) > 1:
            raise InvalidRequest(f"OpenStack gives a server one SSH key, not {len(spec.ssh_keys)}: name one")
        if spec.ssh_keys:
            more["key_name"] = spec.ssh_keys[0]
        if spec.firewalls:
            more["security_groups"] = [{"name": self._group(name)} for name in spec.firewalls]
        made = compute.create_server(
            name=spec.name,
            flavor_id=flavour,
            image_id=image.id,
            availability_zone=spec.offer.location,
            networks=[{"uuid": outside(self._connection, self._network).id}],
            metadata=dict(spec.labels),
            **more,
        )
        return str(known(made, "id").id)

    def _group(self, name: str) -> str:
        found = group_named(self._connection, name)
        if found is None:
            raise NotFound(f"security group {name!r} is not in the project: make it first")
        return str(found.id)

    def _built(self, server_id: str) -> Found:
        """Wait for the server to be made, for better or worse."""
        try:
            return self._patiently(lambda: self._must_be_built(server_id), BUILDING)
        except (Unfinished, Unreachable):
            raise
        except Transient as error:
            raise Unfinished(str(error)) from error

    def _must_be_built(self, server_id: str) -> Found:
        found = self._seen(server_id)
        if found.status == "BUILD":
            raise Transient(f"server {found.name} is still being made: try again, or try another flavour")
        return found

    def _delete(self, server_id: str) -> None:
        with suppress(NotFound):
            self._patiently(lambda: self._must_be_gone(server_id))

    def _must_be_gone(self, server_id: str) -> NoReturn:
        """Delete the server, again where that has failed in the cloud."""
        found = self._seen(server_id)
        if found.task_state != "deleting":
            self._connection.compute.delete_server(found, ignore_missing=False)
        raise Transient(f"server {found.name} is still listed after its deletion: check the cloud's console")

    def _seen(self, server_id: str) -> Found:
        return known(self._connection.compute.get_server(server_id))

    def _described(self, found: Found) -> Server:
        # A nova of before 2017 only tells the flavour's id.
        flavour = found.flavor.original_name or self._connection.compute.get_flavor(found.flavor.id).name
        return server_of(found, self.name, str(flavour), self._snapshots.name_of(_image_id(found)))


def _image_id(found: Found) -> str:
    return str(found.image.id) if found.image else ""
