"""Firewalls: rules, and the servers they apply to by id or by label selector.

They take effect before the answer is sent, so their actions come back finished.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace

from localcloud.api import views
from localcloud.api.call import Call, Json, Reply
from localcloud.api.errors import invalid, refused
from localcloud.core.actions import now, record_done
from localcloud.core.backend import BackendError
from localcloud.core.labels import selector
from localcloud.core.model import Direction, Firewall, FirewallRule, Protocol, Reference
from localcloud.core.store import State

# ASCII without leading zeros: nftables takes 010 for eight, and would refuse the whole packet filter for a "٢٢".
_PORTS = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")
_PREFIXED = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
_MOST_FIREWALLS = 5  # of one server
_MOST_RULES = 50
_MOST_NETWORKS = 100  # of one rule
_MOST_DESCRIPTION = 255
_DIRECTIONS: dict[str, Direction] = {"in": "in", "out": "out"}
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "esp": "esp", "gre": "gre"}


def list_all(call: Call) -> Reply:
    state = call.state
    return call.listing("firewalls", call.all_own(state.firewalls), lambda each: views.firewall(state, each))


def get(call: Call) -> Reply:
    return 200, {"firewall": views.firewall(call.state, call.own(call.state.firewalls))}


def create(call: Call) -> Reply:
    name = call.text("name", at_most=128)
    servers, selectors = _targets(call, "apply_to", status_of_missing=422)
    if len(set(servers)) < len(servers):
        raise refused("server_already_added", "a server was applied more than once")
    with call.store.change() as state:
        call.refuse_taken_name(state.firewalls, name)
        firewall = Firewall(
            state.new_id(), call.project, name, now(), call.labels(), _rules(call), tuple(servers), tuple(selectors)
        )
        state.firewalls[firewall.id] = firewall
        refuse_too_many(state, call.project)
    actions = _enforce(call, firewall.id, "set_firewall_rules", *(["apply_firewall"] if servers or selectors else []))
    return 201, {"firewall": views.firewall(call.state, firewall), "actions": actions}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        name = call.text("name", firewall.name, at_most=128)
        call.refuse_taken_name(state.firewalls, name, but=firewall.id)
        state.firewalls[firewall.id] = replace(firewall, name=name, labels=call.labels(firewall.labels))
    return get(call)


def delete(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if firewall.servers or firewall.selectors:
            raise refused("resource_in_use", f"firewall with ID '{firewall.id}' is still in use")
        del state.firewalls[firewall.id]
    return 204, None


def set_rules(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if call.body.get("rules") is None:
            raise invalid("rules", "is required: an empty array removes all rules")
        state.firewalls[firewall.id] = replace(firewall, rules=_rules(call))
    return 201, {"actions": _enforce(call, firewall.id, "set_firewall_rules")}


def apply_to_resources(call: Call) -> Reply:
    servers, selectors = _targets(call, "apply_to")
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if {*servers, *selectors} & {*firewall.servers, *firewall.selectors}:
            raise refused("firewall_already_applied", "firewall is already applied to the resource")
        state.firewalls[firewall.id] = replace(
            firewall, servers=(*firewall.servers, *servers), selectors=(*firewall.selectors, *selectors)
        )
        refuse_too_many(state, call.project)
    return 201, {"actions": _enforce(call, firewall.id, "apply_firewall")}


def remove_from_resources(call: Call) -> Reply:
    servers, selectors = _targets(call, "remove_from")
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if missing := {*servers, *selectors} - {*firewall.servers, *firewall.selectors}:
            if any(
                missing & {each.id for each in state.servers_matching(call.project, text)}
                for text in firewall.selectors
            ):
                raise refused("firewall_managed_by_label_selector", "firewall is applied by a label selector")
            raise refused("firewall_resource_not_found", "firewall is not applied to the resource", 404)
        state.firewalls[firewall.id] = replace(
            firewall,
            servers=tuple(each for each in firewall.servers if each not in servers),
            selectors=tuple(each for each in firewall.selectors if each not in selectors),
        )
    return 201, {"actions": _enforce(call, firewall.id, "remove_firewall")}


def refuse_too_many(state: State, project: str) -> None:
    """Raise `resource_limit_exceeded` if a server has more firewalls than it may, including those by selector."""
    for server in state.servers.values():
        if server.project == project and len(state.firewalls_of(server)) > _MOST_FIREWALLS:
            message = f"server {server.name} would have more than {_MOST_FIREWALLS} firewalls"
            raise refused("resource_limit_exceeded", message, 403)


def _enforce(call: Call, firewall: int, *commands: str) -> list[Json]:
    error = None
    try:
        call.actions.commands.enforce_firewalls()
    except BackendError as failure:
        error = ("action_failed", str(failure))
    with call.store.change() as state:
        ref = Reference("firewall", firewall)
        return [views.action(record_done(state, call.project, command, ref, error=error)) for command in commands]


def _targets(call: Call, field: str, *, status_of_missing: int = 404) -> tuple[list[int], list[str]]:
    """Read the servers and label selectors that the body names; raises `firewall_resource_not_found`."""
    servers: list[int] = []
    selectors: list[str] = []
    for target in call.sequence(field):
        match target:
            case {"type": "server", "server": {"id": int(id_)}}:
                if id_ not in {each.id for each in call.all_own(call.state.servers)}:
                    message = f"server with ID '{id_}' not found"
                    raise refused("firewall_resource_not_found", message, status_of_missing)
                servers.append(id_)
            case {"type": "label_selector", "label_selector": {"selector": str(text)}}:
                try:
                    selector(text)
                except ValueError as error:
                    raise invalid(field, str(error)) from None
                selectors.append(text)
            case _:
                raise invalid(field, "names servers by id or a label_selector")
    return servers, selectors


def _rules(call: Call) -> tuple[FirewallRule, ...]:
    rules = call.sequence("rules")
    if len(rules) > _MOST_RULES:
        raise invalid("rules", f"are {_MOST_RULES} at most")
    return tuple(_rule(rule, f"rules.{number}") for number, rule in enumerate(rules))


def _rule(rule: object, field: str) -> FirewallRule:
    if not isinstance(rule, dict):
        raise invalid(field, "is an object")
    direction, protocol = _one_of(_DIRECTIONS, rule.get("direction")), _one_of(_PROTOCOLS, rule.get("protocol"))
    if not direction or not protocol:
        raise invalid(field, f"direction is one of {', '.join(_DIRECTIONS)}, protocol of {', '.join(_PROTOCOLS)}")
    networks = {key: _networks(rule.get(key) or [], f"{field}.{key}") for key in ("source_ips", "destination_ips")}
    used, unused = ("source_ips", "destination_ips") if direction == "in" else ("destination_ips", "source_ips")
    if not networks[used] or networks[unused]:
        raise invalid(f"{field}.{used}", f"a rule for {direction!r} has {used} and no {unused}")
    port = rule.get("port")
    if (port is None) == (protocol in ("tcp", "udp")):
        raise invalid(f"{field}.port", "is for tcp and udp rules, and required there")
    description = rule.get("description")
    if not isinstance(description, str | None) or len(description or "") > _MOST_DESCRIPTION:
        raise invalid(f"{field}.description", f"is a string of {_MOST_DESCRIPTION} characters at most")
    return FirewallRule(
        direction=direction,
        protocol=protocol,
        port=None if port is None else _port(port, f"{field}.port"),
        description=description,
        **networks,
    )


def _one_of[T](values: Mapping[str, T], name: object) -> T | None:
    return values.get(name) if isinstance(name, str) else None


def _port(port: object, field: str) -> str:
    """Return the port as it was sent; otherwise every later plan of a client that sent `any` would show a change."""
    if port == "any":
        return "any"
    match = _PORTS.fullmatch(port) if isinstance(port, str) else None
    if not match or not int(match[1]) <= int(match[2] or match[1]) <= 65535:
        raise invalid(field, "is any, a port from 1 to 65535 or a range of them, as a string")
    return match[0]


def _networks(networks: object, field: str) -> tuple[str, ...]:
    if not isinstance(networks, list) or len(networks) > _MOST_NETWORKS:
        raise invalid(field, f"is an array of {_MOST_NETWORKS} networks at most")
    try:
        return tuple(str(ipaddress.ip_network(_cidr(network))) for network in networks)
    except ValueError:
        raise invalid(field, "is an array of networks in CIDR notation, without host bits") from None


def _cidr(network: object) -> str:
    """Return a network with prefix length; raises ValueError for anything else that `ipaddress` would accept."""
    if not isinstance(network, str) or not _PREFIXED.fullmatch(network):
        raise ValueError(network)
    return network
