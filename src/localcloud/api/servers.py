"""Servers: create, change, delete, and the actions on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from localcloud.api import views
from localcloud.api.call import Call, Handler, Json, Reply, chosen
from localcloud.api.errors import invalid, protected, refused
from localcloud.api.firewalls import refuse_too_many
from localcloud.api.images import bootable
from localcloud.api.primary_ips import new_primary_ip
from localcloud.core import catalogue, scarcity
from localcloud.core.actions import Step, begin, now, record_done
from localcloud.core.catalogue import Location, ServerType
from localcloud.core.model import Image, Power, PrimaryIp, Reference, Server
from localcloud.core.store import State

_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*"
_HOSTNAME_LENGTH = 253
_MOST_USER_DATA = 2**15  # bytes, however few characters they are


def _view(call: Call) -> Callable[[Server], Json]:
    running = call.backend.running()
    state, enforced = call.state, call.actions.commands.enforced
    return lambda server: views.server(state, server, running, enforced)


def list_all(call: Call) -> Reply:
    return call.listing("servers", call.all_own(call.state.servers), _view(call))


def get(call: Call) -> Reply:
    return 200, {"server": _view(call)(call.own(call.state.servers))}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        server = call.own(state.servers)
        name = call.text("name", server.name, pattern=_HOSTNAME, at_most=_HOSTNAME_LENGTH)
        call.refuse_taken_name(state.servers, name, but=server.id)
        labels = call.labels(server.labels)
        state.servers[server.id] = replace(server, name=name, labels=labels)
    if labels != server.labels:
        call.actions.commands.enforce_firewalls()  # a label selector matches it now, or no longer
    return get(call)


def create(call: Call) -> Reply:
    """Check everything first: a refused server leaves no trace."""
    _refuse_what_is_missing(call)
    name = call.text("name", pattern=_HOSTNAME, at_most=_HOSTNAME_LENGTH)
    kind = chosen(catalogue.SERVER_TYPES, call.body.get("server_type"), "server_type")
    image = chosen(bootable(call), call.body.get("image"), "image")
    starts = call.flag("start_after_create", True)
    with call.store.change() as state:
        call.refuse_taken_name(state.servers, name)
        keys = [chosen(call.all_own(state.ssh_keys), key, "ssh_key") for key in call.sequence("ssh_keys")]
        volumes = [call.own(state.volumes, id_, "volume") for id_ in call.sequence("volumes")]
        if taken := [volume.id for volume in volumes if volume.server is not None]:
            raise refused("volume_already_attached", f"volume {taken[0]} is attached to a server already")
        address = _free_primary_ip(call, state)
        place = _place(call, kind, {each.location for each in (*volumes, address) if each})
        _refuse_what_is_scarce(call, state, kind, place)
        address = address or new_primary_ip(state, call.project, place.name)
        server = Server(
            id=state.new_id(),
            project=call.project,
            name=name,
            created=now(),
            labels=call.labels(),
            server_type=kind.name,
            location=place.name,
            image=image.name,
            user_data=_user_data(call, ""),
            ssh_public_keys=tuple(key.public_key for key in keys),
            primary_ip=address.id,
            wanted="running" if starts else "off",
        )
        state.servers[server.id] = server
        for entry in call.sequence("firewalls"):
            wanted = entry.get("firewall") if isinstance(entry, dict) else entry
            firewall = call.own(state.firewalls, wanted, "firewall")
            if server.id not in firewall.servers:
                state.firewalls[firewall.id] = replace(firewall, servers=(*firewall.servers, server.id))
        refuse_too_many(state, call.project)
        ref = Reference("server", server.id)
        steps: list[Step] = [("create_server", [ref])]
        steps += [("attach_volume", [ref, Reference("volume", volume.id)]) for volume in volumes]
        steps += [("start_server", [ref])] if starts else []
        actions = begin(state, call.project, *steps)
        reply = views.server(state, server, frozenset(), call.actions.commands.enforced)
    call.actions.submit(actions)
    return 201, {
        "server": reply,
        "action": views.action(actions[0]),
        "next_actions": [views.action(action) for action in actions[1:]],
        "root_password": None,  # nobody logs in by password
    }


def _refuse_what_is_missing(call: Call) -> None:
    for field in ("networks", "placement_group", "datacenter"):
        if call.body.get(field):
            raise invalid(field, "is not offered here")
    if call.flag("automount", False):
        raise invalid("automount", "is not offered here: mount the volume by its linux_device")
    _refuse_other_networks(call.body.get("public_net") or {})


def _refuse_other_networks(public_net: object) -> None:
    """Asking for IPv6 is no error: clients do so unless they are told not to. The answer says that there is none."""
    flags = ("enable_ipv4", "enable_ipv6")
    if not isinstance(public_net, dict) or not all(isinstance(public_net.get(flag), bool | None) for flag in flags):
        raise invalid("public_net", f"is an object; {' and '.join(flags)} in it are booleans")
    if public_net.get("enable_ipv4") is False:
        raise invalid("public_net.enable_ipv4", "cannot be false: a server here has nothing else to be reached by")
    if public_net.get("ipv6"):
        raise invalid("public_net.ipv6", "there is no IPv6 here")


def _user_data(call: Call, default: str) -> str:
    text = call.text("user_data", default, pattern="(?s).*")
    if len(text.encode()) > _MOST_USER_DATA:
        raise invalid("user_data", f"is longer than {_MOST_USER_DATA} bytes")
    return text


def _refuse_what_is_scarce(call: Call, state: State, kind: ServerType, place: Location) -> None:
    scarce = scarcity.read(call.store.directory)
    if len(call.all_own(state.servers)) >= scarce.limits.get(call.project, math.inf):
        raise refused("resource_limit_exceeded", "server limit exceeded", status=403)
    if (kind.name, place.name) in scarce.sold_out:
        raise refused("resource_unavailable", "error during placement", status=412)


def _free_primary_ip(call: Call, state: State) -> PrimaryIp | None:
    wanted = (call.body.get("public_net") or {}).get("ipv4")
    if wanted is None:
        return None
    address = call.own(state.primary_ips, wanted, "primary IP")
    if state.server_at(address.ip):
        raise refused("primary_ip_assigned", f"primary IP {address.ip} is assigned to a server already")
    return address


def _place(call: Call, kind: ServerType, required: set[str]) -> Location:
    """Choose the requested location, else that of its volumes and address, else the first that has the type."""
    wanted = call.body.get("location") or min(required, default=kind.locations[0])
    place = chosen(catalogue.LOCATIONS, wanted, "location")
    if place.name not in kind.locations:
        raise invalid("location", "unsupported location for server type")
    if required - {place.name}:
        raise invalid("location", "volumes, primary IP and server are not in the same location")
    return place


def _rebuilt(call: Call, server: Server) -> Server:
    image = chosen(bootable(call), call.body.get("image"), "image")
    return replace(server, image=image.name, user_data=_user_data(call, server.user_data))


def _handler(
    command: str,
    wanted: Power | None,
    *,
    destroys: bool = False,
    change: Callable[[Call, Server], Server] = lambda _call, server: server,
    status: int = 201,
) -> Handler:
    """Make a handler that stores what is wanted of the server, if that changes, and runs the command."""

    def handler(call: Call) -> Reply:
        with call.store.change() as state:
            server = call.own(state.servers)
            if destroys and server.protected:
                raise protected(f"server {server.name}")
            if wanted == "running" and server.primary_ip is None:
                raise refused("server_without_address", f"server {server.name} has no primary IP: assign one first")
            actions = begin(state, call.project, (command, [Reference("server", server.id)]))
            state.servers[server.id] = replace(change(call, server), wanted=wanted or server.wanted)
        call.actions.submit(actions)
        return status, {"action": views.action(actions[0])}

    return handler


delete = _handler("delete_server", "off", destroys=True, status=200)
power_on = _handler("start_server", "running")
power_off = _handler("stop_server", "off")
shutdown = _handler("shutdown_server", None)  # the machine decides whether it goes off
reboot = _handler("reboot_server", "running")
reset = _handler("reset_server", "running")
rebuild = _handler("rebuild_server", "running", destroys=True, change=_rebuilt)


def create_image(call: Call) -> Reply:
    if call.text("type", "snapshot") != "snapshot":
        raise invalid("type", "only snapshots are offered here")
    with call.store.change() as state:
        server = call.own(state.servers)
        image = Image(
            id=state.new_id(),
            project=call.project,
            name=call.text("description", "", pattern="(?s).*") or server.name,
            created=now(),
            labels=call.labels(),
            server_id=server.id,
            server_name=server.name,
            disk_gb=catalogue.server_type(server.server_type).disk_gb,
        )
        refs = [Reference("server", server.id), Reference("image", image.id)]
        actions = begin(state, call.project, ("create_image", refs))
        state.images[image.id] = image
    call.actions.submit(actions)
    return 201, {"image": views.snapshot(image), "action": views.action(actions[0])}


def change_protection(call: Call) -> Reply:
    with call.store.change() as state:
        server = call.own(state.servers)
        wanted = call.flag("delete", server.protected)
        if wanted != call.flag("rebuild", server.protected):
            raise invalid("rebuild", "delete and rebuild protection have to be the same")
        state.servers[server.id] = replace(server, protected=wanted)
        action = record_done(state, call.project, "change_protection", Reference("server", server.id))
    return 201, {"action": views.action(action)}
