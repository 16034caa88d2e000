"""The SSH key and the firewall that servers of an OpenStack project are created with: keypair and security group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from openstack.connection import Connection
from openstack.network.v2.security_group import SecurityGroup

from parrotpark.cloud.api import Furnishing, Rule, same_key
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.cloud.openstack.views import known

type Facts = tuple[str, str, str, str, str, str]  # direction, family, protocol, ports, from whom or to whom

_FIELDS = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
_ANYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
_ICMP6 = "ipv6-icmp"


def furnish(connection: Connection, wanted: Furnishing, *, check: bool) -> Sequence[str]:
    """Make them so, unless `check`; return in a line each what changed."""
    return tuple(filter(None, (_key(connection, wanted, check=check), _firewall(connection, wanted, check=check))))


def group_named(connection: Connection, name: str) -> SecurityGroup | None:
    """Find a security group of the project.

    Raises:
        InvalidRequest: several have this name.
    """
    found = [group for group in connection.network.security_groups(name=name) if group.name == name]
    if len(found) > 1:
        raise InvalidRequest(f"{len(found)} security groups are named {name!r}: delete all of them but one")
    return found[0] if found else None


def _key(connection: Connection, wanted: Furnishing, *, check: bool) -> str:
    found = next((key for key in connection.compute.keypairs() if key.name == wanted.ssh_key), None)
    if found and same_key(str(found.public_key), wanted.public_key):
        return ""
    if not check:
        if found:  # A key cannot be changed; servers that were created with it keep it.
            connection.compute.delete_keypair(found)
        connection.compute.create_keypair(name=wanted.ssh_key, public_key=wanted.public_key)
    return f"SSH key {wanted.ssh_key} {'replaced' if found else 'uploaded'}"


def _firewall(connection: Connection, wanted: Furnishing, *, check: bool) -> str:
    rules = {_facts(body): body for body in _bodies(wanted.rules)}
    found = group_named(connection, wanted.firewall)
    if found is None and check:
        return f"firewall {wanted.firewall} made"
    group = found or known(connection.network.create_security_group(name=wanted.firewall), "id")
    there = {_facts(rule): rule for rule in group.security_group_rules or ()}
    added = [body for facts, body in rules.items() if facts not in there]
    # What lets out is only added to: another project's policy may want it so.
    gone = [rule["id"] for facts, rule in there.items() if facts[0] == "ingress" and facts not in rules]
    if not check:
        for body in added:  # first, so that nobody is locked out on the way
            connection.network.create_security_group_rule(security_group_id=group.id, **body)
        for rule_id in gone:
            connection.network.delete_security_group_rule(rule_id)
    if found is None:
        return f"firewall {wanted.firewall} made"
    return f"rules of firewall {wanted.firewall} changed" if added or gone else ""


def _bodies(rules: Sequence[Rule]) -> Sequence[Mapping[str, Any]]:
    """Write the rules as neutron wants them: one for each source; and everything may go out."""
    out = [{"direction": "egress", "ethertype": family} for family in _ANYWHERE]
    return [*out, *(_body_of(rule, source) for rule in rules for source in rule.sources)]


def _body_of(rule: Rule, source: str) -> Mapping[str, Any]:
    network = ip_network(source, strict=False)
    low, _, high = (rule.port or "").partition("-")
    return {
        "direction": "ingress",
        "ethertype": f"IPv{network.version}",
        "protocol": _ICMP6 if (rule.protocol, network.version) == ("icmp", 6) else rule.protocol,
        "port_range_min": int(low) if low else None,
        "port_range_max": int(high or low) if low else None,
        "remote_ip_prefix": str(network),
    }


def _facts(rule: Mapping[str, Any]) -> Facts:
    """Return what tells rules apart, in one form, as an API may write them in several."""
    direction, family, protocol, low, high, prefix = (rule.get(field) for field in _FIELDS)
    # A rule for the members of a group lets in others than one for everybody.
    other = rule.get("remote_group_id") or rule.get("remote_address_group_id")
    remote = other or str(ip_network(prefix, strict=False) if prefix else _ANYWHERE[str(family)])
    protocol = _ICMP6 if (family, protocol) in (("IPv6", "icmp"), ("IPv6", "icmpv6")) else protocol
    return str(direction), str(family), str(protocol or ""), str(low or ""), str(high or ""), str(remote)
