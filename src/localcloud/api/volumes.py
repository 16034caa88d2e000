"""Volumes: block devices that outlive the servers they are attached to."""

from __future__ import annotations

from dataclasses import replace

from localcloud.api import views
from localcloud.api.call import Call, Reply, chosen
from localcloud.api.errors import invalid, protected, refused
from localcloud.core import catalogue
from localcloud.core.actions import Step, begin, now, record_done
from localcloud.core.model import Action, Reference, Volume

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_LEAST_GB, _MOST_GB = 10, 10240


def list_all(call: Call) -> Reply:
    state = call.state
    return call.listing("volumes", call.all_own(state.volumes), lambda each: views.volume(state, each))


def get(call: Call) -> Reply:
    return 200, {"volume": views.volume(call.state, call.own(call.state.volumes))}


def create(call: Call) -> Reply:
    name = call.text("name", pattern=_NAME, at_most=64)
    size = call.number("size", at_least=_LEAST_GB, at_most=_MOST_GB)
    filesystem = call.body.get("format") or None
    if filesystem not in (None, "ext4", "xfs"):
        raise invalid("format", "is ext4 or xfs")
    _refuse_automount(call)
    if bool(call.body.get("server")) == bool(call.body.get("location")):
        raise invalid("location", "give either a location or a server")
    with call.store.change() as state:
        call.refuse_taken_name(state.volumes, name)
        server = call.own(state.servers, call.body["server"], "server") if call.body.get("server") else None
        wanted = server.location if server else call.body["location"]
        place = chosen(catalogue.LOCATIONS, wanted, "location").name
        volume = Volume(state.new_id(), call.project, name, now(), call.labels(), place, size, filesystem)
        refs = [Reference("volume", volume.id), *([Reference("server", server.id)] if server else [])]
        steps: list[Step] = [("create_volume", refs), *([("attach_volume", refs)] if server else [])]
        state.volumes[volume.id] = volume
        actions = begin(state, call.project, *steps)
        reply = views.volume(state, volume)
    call.actions.submit(actions)
    first, *rest = map(views.action, actions)
    return 201, {"volume": reply, "action": first, "next_actions": rest}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        volume = call.own(state.volumes)
        name = call.text("name", volume.name, pattern=_NAME, at_most=64)
        call.refuse_taken_name(state.volumes, name, but=volume.id)
        state.volumes[volume.id] = replace(volume, name=name, labels=call.labels(volume.labels))
    return get(call)


def delete(call: Call) -> Reply:
    with call.store.change() as state:
        volume = call.own(state.volumes)
        if volume.protected:
            raise protected(f"volume {volume.name}")
        if volume.server is not None:
            # The reference names no code for this; users report that the API answers this one.
            raise refused("service_error", f"volume with ID '{volume.id}' is still attached to a server")
        (action,) = begin(state, call.project, ("delete_volume", [Reference("volume", volume.id)]))
    return call.gone_after(action)


def attach(call: Call) -> Reply:
    _refuse_automount(call)
    with call.store.change() as state:
        volume = call.own(state.volumes)
        server = call.own(state.servers, call.number("server"), "server")
        if volume.server is not None:
            raise refused("volume_already_attached", f"volume {volume.name} is attached to server {volume.server}")
        if volume.location != server.location:
            raise invalid("server", "server and volume are not in the same location")
        refs = [Reference("server", server.id), Reference("volume", volume.id)]
        actions = begin(state, call.project, ("attach_volume", refs))
    return _started(call, actions)


def detach(call: Call) -> Reply:
    with call.store.change() as state:
        volume = call.own(state.volumes)
        if volume.server is None:
            raise refused("volume_not_attached", f"volume {volume.name} is attached to no server")
        refs = [Reference("server", volume.server), Reference("volume", volume.id)]
        actions = begin(state, call.project, ("detach_volume", refs))
    return _started(call, actions)


def resize(call: Call) -> Reply:
    with call.store.change() as state:
        volume = call.own(state.volumes)
        size = call.number("size", at_least=volume.size + 1, at_most=_MOST_GB)
        step: Step = ("resize_volume", [Reference("volume", volume.id)])
        actions = begin(state, call.project, step, argument=size)
    return _started(call, actions)


def change_protection(call: Call) -> Reply:
    with call.store.change() as state:
        volume = call.own(state.volumes)
        state.volumes[volume.id] = replace(volume, protected=call.flag("delete", volume.protected))
        action = record_done(state, call.project, "change_protection", Reference("volume", volume.id))
    return 201, {"action": views.action(action)}


def _started(call: Call, actions: list[Action]) -> Reply:
    call.actions.submit(actions)
    return 201, {"action": views.action(actions[0])}


def _refuse_automount(call: Call) -> None:
    if call.flag("automount", False):
        raise invalid("automount", "is not offered here: mount the volume by its linux_device")
