"""Images: the system images that the backend holds, and the project's snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localcloud.api import views
from localcloud.api.call import Call, Json, Reply
from localcloud.api.errors import protected
from localcloud.core import catalogue
from localcloud.core.actions import begin, record_done
from localcloud.core.catalogue import SystemImage
from localcloud.core.model import Image, Reference, snapshot_name


@dataclass(frozen=True, slots=True)
class Bootable:
    """An image that a server can be made from; `name` is the backend's."""

    id: int
    name: str


def bootable(call: Call) -> list[Bootable]:
    snapshots = [image for image in call.all_own(call.state.images) if image.size_bytes is not None]
    return [
        *(Bootable(image.id, image.name) for image in _system(call)),
        *(Bootable(image.id, snapshot_name(image.id)) for image in snapshots),
    ]


def _system(call: Call) -> Sequence[SystemImage]:
    held = call.backend.images()
    return [image for image in catalogue.SYSTEM_IMAGES if image.name in held]


def _view(image: SystemImage | Image) -> Json:
    return views.system_image(image) if isinstance(image, SystemImage) else views.snapshot(image)


def list_all(call: Call) -> Reply:
    images: list[SystemImage | Image] = [*_system(call), *call.all_own(call.state.images)]
    return call.listing("images", images, _view)


def get(call: Call) -> Reply:
    for image in _system(call):
        if image.id == call.id:
            return 200, {"image": _view(image)}
    return 200, {"image": _view(call.own(call.state.images))}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        image = call.own(state.images)
        description = call.text("description", image.name, pattern="(?s).*")
        state.images[image.id] = replace(image, name=description, labels=call.labels(image.labels))
    return get(call)


def delete(call: Call) -> Reply:
    """Delete the record at once, and the gigabytes in the background: the client waits for no action."""
    with call.store.change() as state:
        image = call.own(state.images)
        if image.protected:
            raise protected(f"image {image.id}")
        actions = begin(state, call.project, ("delete_image", [Reference("image", image.id)]))
        del state.images[image.id]
    call.actions.submit(actions)
    return 204, None


def change_protection(call: Call) -> Reply:
    with call.store.change() as state:
        image = call.own(state.images)
        state.images[image.id] = replace(image, protected=call.flag("delete", image.protected))
        action = record_done(state, call.project, "change_protection", Reference("image", image.id))
    return 201, {"action": views.action(action)}
