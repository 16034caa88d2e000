"""Firewalls: rules, and the servers they apply to by id or by label selector.

They take effect before the answer is sent, so their actions come back finished.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from ..actions import done, now
from ..backend import BackendError
from ..labels import selector
from ..model import Direction, Firewall, FirewallRule, Protocol, Reference
from . import views
from .call import Call, Json, Reply
from .errors import invalid, refused

_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_DIRECTIONS: dict[str, Direction] = {"in": "in", "out": "out"}
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "esp": "esp", "gre": "gre"}


def list_all(call: Call) -> Reply:
    state = call.state
    return call.listing("firewalls", call.all_own(state.firewalls), lambda each: views.firewall(state, each))


def get(call: Call) -> Reply:
    return 200, {"firewall": views.firewall(call.state, call.own(call.state.firewalls))}


def create(call: Call) -> Reply:
    name = call.text("name", at_most=128)
    servers, selectors = _targets(call, "apply_to")
    with call.store.change() as state:
        call.unique(state.firewalls, name)
        firewall = Firewall(
            state.new_id(), call.project, name, now(), call.labels(), _rules(call), tuple(servers), tuple(selectors)
        )
        state.firewalls[firewall.id] = firewall
    actions = _enforce(call, firewall.id, "set_firewall_rules", *(["apply_firewall"] if servers or selectors else []))
    return 201, {"firewall": views.firewall(call.state, firewall), "actions": actions}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        name = call.text("name", firewall.name, at_most=128)
        call.unique(state.firewalls, name, but=firewall.id)
        state.firewalls[firewall.id] = replace(firewall, name=name, labels=call.labels(firewall.labels))
    return get(call)


def delete(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if firewall.servers or firewall.selectors:
            raise refused("resource_in_use", f"firewall with ID '{firewall.id}' is still in use", 409)
        del state.firewalls[firewall.id]
    return 204, None


def set_rules(call: Call) -> Reply:
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
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
    return 201, {"actions": _enforce(call, firewall.id, "apply_firewall")}


def remove_from_resources(call: Call) -> Reply:
    servers, selectors = _targets(call, "remove_from")
    with call.store.change() as state:
        firewall = call.own(state.firewalls)
        if {*servers, *selectors} - {*firewall.servers, *firewall.selectors}:
            raise refused("firewall_already_removed", "firewall is not applied to the resource")
        state.firewalls[firewall.id] = replace(
            firewall,
            servers=tuple(each for each in firewall.servers if each not in servers),
            selectors=tuple(each for each in firewall.selectors if each not in selectors),
        )
    return 201, {"actions": _enforce(call, firewall.id, "remove_firewall")}


def _enforce(call: Call, firewall: int, *commands: str) -> list[Json]:
    error = None
    try:
        call.actions.work.filter()
    except BackendError as failure:
        error = ("action_failed", str(failure))
    with call.store.change() as state:
        ref = Reference("firewall", firewall)
        return [views.action(done(state, call.project, command, ref, error=error)) for command in commands]


def _targets(call: Call, field: str) -> tuple[list[int], list[str]]:
    """The servers and the label selectors that the body names."""
    servers: list[int] = []
    selectors: list[str] = []
    for target in call.sequence(field):
        match target:
            case {"type": "server", "server": {"id": int(id_)}}:
                servers.append(call.own(call.state.servers, id_, "server").id)
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
    return tuple(_rule(rule, f"rules.{number}") for number, rule in enumerate(call.sequence("rules")))


def _rule(rule: object, field: str) -> FirewallRule:
    if not isinstance(rule, dict):
        raise invalid(field, "is an object")
    direction = _DIRECTIONS.get(str(rule.get("direction")))
    protocol = _PROTOCOLS.get(str(rule.get("protocol")))
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
    return FirewallRule(
        direction=direction,
        protocol=protocol,
        port=None if port is None else _port(port, f"{field}.port"),
        description=None if description is None else str(description),
        **networks,
    )


def _port(port: object, field: str) -> str:
    """`any` means what it says and is kept as the range it stands for."""
    text = "1-65535" if port == "any" else str(port)
    match = _PORTS.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
        raise invalid(field, "is a port from 1 to 65535 or a range of them")
    return text


def _networks(networks: object, field: str) -> tuple[str, ...]:
    try:
        assert isinstance(networks, list)
        return tuple(str(ipaddress.ip_network(network)) for network in networks)
    except (AssertionError, ValueError):
        raise invalid(field, "is an array of networks in CIDR notation, without host bits") from None
