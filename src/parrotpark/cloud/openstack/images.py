"""Snapshots of OpenStack: made from a server that is off, once, even if the answer is lost on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from openstack import exceptions as sdk
from openstack.compute.v2.server import Server as FoundServer
from openstack.connection import Connection
from openstack.image.v2._proxy import Proxy as Glance
from openstack.image.v2.image import Image as Found

from parrotpark.cloud.api import Image, Leftover, carries
from parrotpark.cloud.errors import InvalidRequest, NotFound, Transient
from parrotpark.cloud.openstack.views import epoch, is_kept, known
from parrotpark.cloud.patience import Patience

QUEUED, SAVING, ACTIVE = "queued", "saving", "active"
STOPPING = 300.0  # seconds for a server to shut down: nova cuts its power after 60 of them, by its own default
IMAGING = 3600.0  # seconds for an image to be made: the cloud copies a whole disk
ABANDONED = 900  # seconds after which an image that nobody works on is one that nobody will finish
_LABEL = "label:"  # before the labels among an image's properties, as nova writes many of its own
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The images of one project."""

    cloud: str
    connection: Connection
    patiently: Patience

    @property
    def _glance(self) -> Glance:
        return cast(Glance, self.connection.image)  # the older version that it may be died in 2019

    def usable(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        """List those that carry the labels and can be booted from, newest first."""
        with self.patiently.typed_errors():
            found = [self._image(image) for image in self._ours() if image.status == ACTIVE]
        found = [image for image in found if carries(image.labels, labels)]
        return tuple(sorted(found, key=lambda image: (image.created, image.id), reverse=True))

    def make(self, server_id: str, description: str, labels: Mapping[str, str]) -> Image:
        """Switch the server off and image it, unless it was imaged with these labels before.

        Raises:
            CloudError: the cloud refused, gave up, or did not finish in time.
        """
        compute, images = self.connection.compute, self._glance
        if not self.patiently(lambda: self._made_before(server_id, labels)):
            self.patiently(lambda: _must_be_off(known(compute.get_server(server_id)), compute.stop_server), STOPPING)
        image_id = self.patiently(lambda: self._begin_or_find(server_id, description, labels))
        made = self.patiently(lambda: _must_be_active(known(images.get_image(image_id))), IMAGING)
        # nova copies the properties of the image that the server was made from, other labels among them.
        if surplus := _labels(made).keys() - labels.keys():
            patch = [{"op": "remove", "path": f"/{_LABEL}{key}"} for key in sorted(surplus)]
            self.patiently(lambda: self._patch(image_id, patch))
            made = self.patiently(lambda: known(images.get_image(image_id)))
        return self._image(made)

    def named(self, name: str) -> Found | None:
        """Find an image of ours by its id, or any by its name: the newest, as providers replace them under it.

        Only one that can be booted from counts.
        """
        images = self._glance
        if _ID.fullmatch(name):
            with suppress(sdk.NotFoundException):
                found = known(images.get_image(name))
                return found if found.status == ACTIVE else None
            return None
        every = [image for image in images.images(name=name) if image.status == ACTIVE]
        return max(every, key=lambda image: epoch(image.created_at), default=None)

    def names(self) -> Sequence[str]:
        """Return what a server can be made from: names, and the ids of snapshots."""
        return [_name(image) for image in self._glance.images(limit=1000) if image.status == ACTIVE]

    def name_of(self, image_id: str) -> str | None:
        """Return the name of an image, its id if it is a snapshot, or None if it is gone or there is none."""
        if not image_id:
            return None
        with suppress(sdk.NotFoundException):
            return _name(known(self._glance.get_image(image_id)))
        return None

    def delete(self, image_id: str) -> None:
        """Delete the image, if it is there."""
        images = self._glance
        with suppress(NotFound):
            self.patiently(lambda: images.delete_image(image_id, ignore_missing=False))

    def abandoned(self, servers: Iterable[FoundServer]) -> Sequence[Leftover]:
        """List the images that were begun and that no server is working on."""
        busy = {server.id for server in servers if str(server.task_state).startswith("image_")}
        long_ago = time.time() - ABANDONED
        return tuple(
            Leftover("snapshot", image.id, self.cloud, image.name, epoch(image.created_at))
            for image in self._ours()
            if image.status in (QUEUED, SAVING)
            and image.instance_uuid not in busy
            and epoch(image.created_at) < long_ago
            and not is_kept(image)
        )

    def _ours(self) -> Sequence[Found]:
        every = self._glance.images(visibility="private", limit=1000)
        return [image for image in every if _is_snapshot(image)]

    def _made_before(self, server_id: str, labels: Mapping[str, str]) -> Sequence[Found]:
        return [
            image
            for image in self._ours()
            if image.status in (QUEUED, SAVING, ACTIVE)
            and image.instance_uuid == server_id
            and _labels(image) == dict(labels)
        ]

    def _begin_or_find(self, server_id: str, description: str, labels: Mapping[str, str]) -> str:
        if found := self._made_before(server_id, labels):
            return str(found[0].id)
        compute = self.connection.compute
        marks = {f"{_LABEL}{key}": value for key, value in labels.items()}
        return str(compute.create_server_image(server_id, description, metadata=marks).id)

    def _patch(self, image_id: str, patch: Sequence[Mapping[str, str]]) -> None:
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        self._glance.patch(f"/images/{image_id}", json=patch, headers=headers, raise_exc=True)

    def _image(self, found: Found) -> Image:
        return Image(found.id, self.cloud, found.name or "", epoch(found.created_at), _labels(found))


def _is_snapshot(image: Found) -> bool:
    return bool((image.properties or {}).get("image_type") == "snapshot")


def _name(image: Found) -> str:
    return str(image.id if _is_snapshot(image) else image.name)


def _labels(image: Found) -> dict[str, str]:
    properties: Mapping[str, Any] = image.properties or {}  # none where there is nothing special
    return {key.removeprefix(_LABEL): value for key, value in properties.items() if key.startswith(_LABEL)}


def _must_be_off(server: FoundServer, stop: Any) -> None:
    if server.status == "SHUTOFF":
        return
    if server.status == "ACTIVE" and server.task_state is None:
        stop(server)
    state = server.task_state or server.status
    raise Transient(f"server {server.name} is {state} and does not switch off: check the cloud's console")


def _must_be_active(image: Found) -> Found:
    if image.status in (QUEUED, SAVING):
        raise Transient(f"image {image.id} is still being made: try again")
    if image.status != ACTIVE:
        raise InvalidRequest(f"image {image.id} is {image.status}: delete it, and try again")
    return image
