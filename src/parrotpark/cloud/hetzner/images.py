"""Snapshots of Hetzner Cloud: made from a server that is off, once, even if the answer is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hcloud import Client
from hcloud.actions import BoundAction
from hcloud.images import BoundImage
from hcloud.images import Image as Reference
from hcloud.servers import BoundServer

from parrotpark.cloud.api import OFF, Image, epoch
from parrotpark.cloud.errors import InvalidRequest, NotFound, Transient
from parrotpark.cloud.hetzner.views import selector
from parrotpark.cloud.patience import Patience

CREATING = "creating"
AVAILABLE = "available"
GRACE = 90.0  # seconds for a server to shut down by itself before its power is cut; as long as systemd gives a unit
IMAGING = 3600.0  # seconds for an image to be made: the provider copies a whole disk
_POLLS = 1500  # of an action, up to 3 s apart: IMAGING and a bit more


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of one project."""

    cloud: str
    client: Client
    patiently: Patience

    def usable(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        """List those that carry the labels and can be booted from, newest first."""
        with self.patiently.typed_errors():
            found = [self._image(image) for image in self._all(labels) if image.status == AVAILABLE]
        return tuple(sorted(found, key=lambda image: (image.created, int(image.id)), reverse=True))

    def make(self, server: BoundServer, description: str, labels: Mapping[str, str]) -> Image:
        """Switch the server off and image it, unless it was imaged with these labels before.

        Raises:
            CloudError: the cloud refused, or did not finish in time.
        """
        if not self.patiently(lambda: self._made_before(server, labels)):
            self._switch_off(server)
        image, actions = self.patiently(lambda: self._begin_or_find(server, description, labels))
        with self.patiently.typed_errors():
            for action in actions:
                action.wait_until_finished(_POLLS)
        self.patiently(lambda: _must_be_available(image), IMAGING)
        return self._without_twins(image, server, labels)

    def delete(self, image: Image) -> None:
        """Delete the image, if it is there."""
        with suppress(NotFound):
            self.patiently(lambda: self.client.images.delete(Reference(id=int(image.id))))

    def _without_twins(self, image: BoundImage, server: BoundServer, labels: Mapping[str, str]) -> Image:
        """hcloud-python repeats a call whose answer a proxy has lost, and so may have made two images."""
        found = self.patiently(lambda: self._made_before(server, labels)) or [image]
        first, *twins = sorted((self._image(each) for each in found), key=lambda each: int(each.id))
        for twin in twins:
            self.delete(twin)
        return first

    def _made_before(self, server: BoundServer, labels: Mapping[str, str]) -> list[BoundImage]:
        return [
            image
            for image in self._all(labels)
            if image.status in (CREATING, AVAILABLE)
            and image.created_from
            and image.created_from.id == server.id
            and image.labels == dict(labels)
        ]

    def _all(self, labels: Mapping[str, str | None]) -> list[BoundImage]:
        # Callers filter by status: hcloud-python 2.27 sends the page size as status.
        return self.client.images.get_all(type=["snapshot"], label_selector=selector(labels))

    def _begin_or_find(
        self, server: BoundServer, description: str, labels: Mapping[str, str]
    ) -> tuple[BoundImage, list[BoundAction]]:
        if found := self._made_before(server, labels):
            return found[0], []
        answer = server.create_image(description, type="snapshot", labels=dict(labels))
        return answer.image, [answer.action]

    def _image(self, bound: BoundImage) -> Image:
        return Image(
            id=str(bound.id),
            cloud=self.cloud,
            description=bound.description or "",
            created=epoch(bound.created),
            labels=dict(bound.labels or {}),
        )

    def _switch_off(self, server: BoundServer) -> None:
        """Let the server shut down by itself; if it does not in time, cut its power."""
        with self.patiently.typed_errors():
            server.reload()
        if server.status == OFF:
            return
        try:
            action = self.patiently(server.shutdown)
            with self.patiently.typed_errors():
                action.wait_until_finished()
            self.patiently(lambda: _must_be_off(server), GRACE)
        except Transient:
            self.patiently(lambda: server.power_off().wait_until_finished())
            self.patiently(lambda: _must_be_off(server))


def _must_be_off(server: BoundServer) -> None:
    server.reload()
    if server.status != OFF:
        raise Transient(f"server {server.name} is {server.status} and does not switch off: check the cloud's console")


def _must_be_available(image: BoundImage) -> None:
    image.reload()
    if image.status == CREATING:
        raise Transient(f"image {image.id} is still being made: try again")
    if image.status != AVAILABLE:
        raise InvalidRequest(f"image {image.id} is {image.status}: delete it, and try again")
