"""Images of Scaleway: made from a server that is off, once, and with labels only when they can be booted from.

An action of the server makes image and snapshot, and cannot be told tags. So the name says meanwhile which image it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from scaleway.block.v1 import Snapshot
from scaleway.instance.v1 import Image as Bound
from scaleway.instance.v1 import ServerAction, SnapshotVolumeType, Volume, VolumeSummary
from scaleway.instance.v1 import ServerActionRequestVolumeBackupTemplate as Backup

from parrotpark.cloud.api import Image, Leftover, carries, epoch
from parrotpark.cloud.errors import InvalidRequest, NotFound, Transient
from parrotpark.cloud.patience import Patience
from parrotpark.cloud.scaleway.client import PAGE, Apis, pages
from parrotpark.cloud.scaleway.views import KEEP, labels_of, tags_of, there

IMAGING = 3600.0  # seconds for an image to be made: the provider copies a whole disk
OFF_WITHIN = 300.0  # seconds for a server to power off; a server that does nothing takes 50
# The API wants to be told, and the SDK has no name for it.
_SBS_SNAPSHOT = cast(SnapshotVolumeType, "sbs_snapshot")
_UNFINISHED = re.compile(r".* [0-9a-f]{16}")  # what we call an image


@dataclass(frozen=True, slots=True)
class Images:
    """The images and snapshots of one project in one zone."""

    cloud: str
    apis: Apis
    patiently: Patience

    def usable(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        """List those that carry the labels and can be booted from, newest first."""
        with self.patiently.typed_errors():
            # Without a label, one is not finished, or not ours.
            found = [self._image(image) for image in self._all() if image.state == "available"]
        wanted = [image for image in found if image.labels and carries(image.labels, labels)]
        return tuple(sorted(wanted, key=lambda image: (image.created, image.id), reverse=True))

    def make(self, server_id: str, description: str, labels: Mapping[str, str]) -> Image:
        """Power the server off and image it, unless that was done with these labels before.

        Raises:
            CloudError: the cloud refused, or did not finish in time.
        """
        name = f"{description} {_digest(server_id, labels)}"
        begun = self.patiently(lambda: self._named(name))
        if begun is None:
            self.patiently(lambda: self._must_be_off(server_id), OFF_WITHIN)
            begun = self.patiently(lambda: self._named(name) or self._begin(server_id, name))
        image = self.patiently(lambda: self._bootable(begun.id), IMAGING)
        if labels_of(image.tags) != dict(labels):
            self.patiently(lambda: self.apis.instance.update_image(image_id=image.id, tags=tags_of(labels)))
            image = self.patiently(lambda: self._get(image.id))
        return self._image(image)

    def delete(self, image_id: str) -> None:
        """Delete the image, if it is there, and its snapshots, which it does not take with it."""
        with suppress(NotFound):
            image = self.patiently(lambda: self._get(image_id))
            with suppress(NotFound):
                self.patiently(lambda: self.apis.instance.delete_image(image_id=image_id))
            for snapshot_id in _snapshots_of(image):
                self._delete_snapshot(snapshot_id)

    def leftovers(self) -> list[Leftover]:
        """List the snapshots that no image needs, and those of images that nobody will finish."""
        with self.patiently.typed_errors():
            # Snapshots first: what is made meanwhile has its image then.
            snapshots = self._snapshots()
            images, servers = self._all(), self._server_ids()
        needed = {id_ for image in images if not _abandoned(image, servers) for id_ in _snapshots_of(image)}
        return [
            Leftover("snapshot", there(each.id), self.cloud, each.name, epoch(each.created_at))
            for each in snapshots
            if each.id not in needed and each.status in ("available", "in_use") and KEEP not in each.tags
        ]

    def delete_leftover(self, snapshot_id: str) -> None:
        """Delete the snapshot, and the image that nobody will finish."""
        for image in self.patiently(self._all):
            if snapshot_id in _snapshots_of(image):
                self.delete(image.id)
        self._delete_snapshot(snapshot_id)

    def _delete_snapshot(self, snapshot_id: str) -> None:
        with suppress(NotFound):
            self.patiently(lambda: self._end_snapshot(snapshot_id))

    def _end_snapshot(self, snapshot_id: str) -> None:
        snapshot = self.apis.block.get_snapshot(snapshot_id=snapshot_id)
        if snapshot.references:
            raise Transient(f"snapshot {snapshot.name} is {snapshot.status}, and its image is gone: try again")
        self.apis.block.delete_snapshot(snapshot_id=snapshot_id)

    def _must_be_off(self, server_id: str) -> None:
        server = there(self.apis.instance.get_server(server_id=server_id).server)
        if server.state == "stopped":
            return
        if server.state != "stopping":
            self.apis.instance.server_action(server_id=server_id, action=ServerAction.POWEROFF)
        raise Transient(f"server {server.name} is {server.state} and does not power off: check the cloud's console")

    def _begin(self, server_id: str, name: str) -> Bound:
        server = there(self.apis.instance.get_server(server_id=server_id).server)
        volumes = {
            volume.id: Backup(volume_type=_SBS_SNAPSHOT)
            for volume in server.volumes.values()
            if volume.volume_type == "sbs_volume"  # what is left out is scratch
        }
        self.apis.instance.server_action(server_id=server_id, action=ServerAction.BACKUP, name=name, volumes=volumes)
        if made := self._named(name):
            return made
        raise Transient(f"image {name} is not listed yet: try again")

    def _bootable(self, image_id: str) -> Bound:
        image = self._get(image_id)
        states = [self.apis.block.get_snapshot(snapshot_id=each).status for each in _snapshots_of(image)]
        if image.state == "error" or "error" in states:
            raise InvalidRequest(f"image {image.name} has failed: delete it, and try again")
        if image.state != "available" or not all(state in ("available", "in_use") for state in states):
            raise Transient(f"image {image.name} is still being made: try again")
        return image

    def _get(self, image_id: str) -> Bound:
        return there(self.apis.instance.get_image(image_id=image_id).image)

    def _named(self, name: str) -> Bound | None:
        return next((image for image in self._all() if image.name == name), None)

    def _all(self) -> list[Bound]:
        ask = self.apis.instance.list_images
        return pages(lambda page: ask(project=self.apis.project, public=False, page=page, per_page=PAGE).images)

    def _snapshots(self) -> list[Snapshot]:
        ask = self.apis.block.list_snapshots
        project = self.apis.project
        return pages(lambda page: ask(project_id=project, include_deleted=False, page=page, page_size=PAGE).snapshots)

    def _server_ids(self) -> set[str]:
        ask = self.apis.instance.list_servers
        found = pages(lambda page: ask(project=self.apis.project, page=page, per_page=PAGE).servers)
        return {server.id for server in found}

    def _image(self, bound: Bound) -> Image:
        return Image(
            id=there(bound.id),
            cloud=self.cloud,
            description=there(bound.name).rpartition(" ")[0],
            created=epoch(bound.creation_date),
            labels=labels_of(bound.tags),
        )


def _digest(server_id: str, labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([server_id, sorted(labels.items())]).encode()).hexdigest()[:16]


def _snapshots_of(image: Bound) -> list[str]:
    volumes: list[Volume | VolumeSummary] = [*(image.extra_volumes or {}).values()]
    if image.root_volume:
        volumes.append(image.root_volume)
    return [each.id for each in volumes if each.volume_type == "sbs_snapshot"]


def _abandoned(image: Bound, servers: set[str]) -> bool:
    """Say whether a run of ours was killed before it could tag the image, and the server is gone to tag it for."""
    return not image.tags and image.from_server not in servers and bool(_UNFINISHED.fullmatch(image.name))
