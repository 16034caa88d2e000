"""Primary IPs: the public IPv4 addresses of the bridge. A server keeps its own until it is deleted."""

from __future__ import annotations

from dataclasses import replace

from localcloud.api import views
from localcloud.api.call import Call, Reply, chosen
from localcloud.api.errors import invalid, protected, refused
from localcloud.core import catalogue
from localcloud.core.actions import begin, now, record_done
from localcloud.core.model import PrimaryIp, Reference, Server
from localcloud.core.store import State


def list_all(call: Call) -> Reply:
    state = call.state
    return call.listing("primary_ips", call.all_own(state.primary_ips), lambda each: views.primary_ip(state, each))


def get(call: Call) -> Reply:
    return 200, {"primary_ip": views.primary_ip(call.state, call.own(call.state.primary_ips))}


def create(call: Call) -> Reply:
    if call.text("type") != "ipv4":
        raise invalid("type", "only ipv4 is offered here")
    if call.body.get("assignee_id") or call.body.get("datacenter"):
        raise invalid("location", "create the address in a location first, then assign it")
    place = chosen(catalogue.LOCATIONS, call.body.get("location"), "location")
    with call.store.change() as state:
        name = call.text("name", at_most=128)
        call.refuse_taken_name(state.primary_ips, name)
        address = new_primary_ip(state, call.project, place.name)
        address = replace(address, name=name, labels=call.labels(), auto_delete=call.flag("auto_delete", False))
        state.primary_ips[address.id] = address
        action = record_done(state, call.project, "create_primary_ip", Reference("primary_ip", address.id))
    return 201, {"primary_ip": views.primary_ip(call.state, address), "action": views.action(action)}


def new_primary_ip(state: State, project: str, place: str) -> PrimaryIp:
    """Store an address that is deleted with its server."""
    ip = state.free_address()
    if ip is None:
        raise refused("resource_limit_exceeded", "all addresses of the bridge are taken", 403)
    id_ = state.new_id()
    address = PrimaryIp(id_, project, f"primary_ip-{id_}", now(), {}, location=place, ip=ip, auto_delete=True)
    state.primary_ips[id_] = address
    return address


def update(call: Call) -> Reply:
    with call.store.change() as state:
        address = call.own(state.primary_ips)
        name = call.text("name", address.name, at_most=128)
        call.refuse_taken_name(state.primary_ips, name, but=address.id)
        state.primary_ips[address.id] = replace(
            address,
            name=name,
            labels=call.labels(address.labels),
            auto_delete=call.flag("auto_delete", address.auto_delete),
        )
    return get(call)


def delete(call: Call) -> Reply:
    with call.store.change() as state:
        address = call.own(state.primary_ips)
        if address.protected:
            raise protected(f"primary IP {address.name}")
        if owner := state.server_at(address.ip):
            raise refused("must_be_unassigned", f"primary IP {address.ip} is assigned to server {owner.name}")
        del state.primary_ips[address.id]
    return 204, None


def assign(call: Call) -> Reply:
    with call.store.change() as state:
        address = call.own(state.primary_ips)
        server = _stopped(call, call.own(state.servers, call.number("assignee_id"), "server"))
        if call.text("assignee_type", "server") != "server":
            raise invalid("assignee_type", "is server")
        if state.server_at(address.ip):
            raise refused("primary_ip_already_assigned", f"primary IP {address.ip} is assigned to a server already")
        if server.primary_ip is not None:
            raise refused("server_has_ipv4", f"server {server.name} has an IPv4 address already")
        if server.location != address.location:
            raise invalid("assignee_id", "server and primary IP are not in the same location")
        refs = [Reference("server", server.id), Reference("primary_ip", address.id)]
        actions = begin(state, call.project, ("assign_primary_ip", refs))
        state.servers[server.id] = replace(server, primary_ip=address.id)
    call.actions.submit(actions)
    return 201, {"action": views.action(actions[0])}


def unassign(call: Call) -> Reply:
    with call.store.change() as state:
        address = call.own(state.primary_ips)
        owner = state.server_at(address.ip)
        if owner is None:
            raise refused("primary_ip_not_assigned", f"primary IP {address.ip} is assigned to no server")
        server = _stopped(call, owner)
        state.servers[server.id] = replace(server, primary_ip=None)
        ref = Reference("primary_ip", address.id)
        action = record_done(state, call.project, "unassign_primary_ip", ref, Reference("server", server.id))
    return 201, {"action": views.action(action)}


def change_protection(call: Call) -> Reply:
    with call.store.change() as state:
        address = call.own(state.primary_ips)
        state.primary_ips[address.id] = replace(address, protected=call.flag("delete", address.protected))
        action = record_done(state, call.project, "change_protection", Reference("primary_ip", address.id))
    return 201, {"action": views.action(action)}


def _stopped(call: Call, server: Server) -> Server:
    call.refuse_if_locked("server", server.id)
    if server.id in call.backend.running():
        raise refused("server_not_stopped", f"server {server.name} has to be powered off first")
    return server
