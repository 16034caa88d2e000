"""The SSH key and the firewall that servers of a Hetzner Cloud project are created with."""

from __future__ import annotations

from collections.abc import Sequence

from hcloud import Client
from hcloud.firewalls import FirewallRule

from parrotpark.cloud.api import Furnishing, Rule


def furnish(client: Client, wanted: Furnishing, *, check: bool) -> Sequence[str]:
    """Make them so, unless `check`; return in a line each what changed."""
    return tuple(filter(None, (_key(client, wanted, check=check), _firewall(client, wanted, check=check))))


def _key(client: Client, wanted: Furnishing, *, check: bool) -> str:
    found = client.ssh_keys.get_by_name(wanted.ssh_key)
    if found and _body(str(found.public_key)) == _body(wanted.public_key):
        return ""
    if not check:
        if found:  # A key cannot be changed; servers that were created with it keep it.
            found.delete()
        client.ssh_keys.create(wanted.ssh_key, wanted.public_key)
    return f"SSH key {wanted.ssh_key} {'replaced' if found else 'uploaded'}"


def _firewall(client: Client, wanted: Furnishing, *, check: bool) -> str:
    rules = [_rule(rule) for rule in wanted.rules]
    found = client.firewalls.get_by_name(wanted.firewall)
    if found is None:
        if not check:
            client.firewalls.create(wanted.firewall, rules)
        return f"firewall {wanted.firewall} made"
    if sorted(map(_facts, found.rules or ())) == sorted(map(_facts, rules)):
        return ""
    if not check:
        for action in found.set_rules(rules):
            action.wait_until_finished()
    return f"rules of firewall {wanted.firewall} changed"


def _rule(rule: Rule) -> FirewallRule:
    return FirewallRule(FirewallRule.DIRECTION_IN, rule.protocol, list(rule.sources), rule.port)


def _facts(rule: FirewallRule) -> tuple[str, str, str, list[str]]:
    return rule.direction, rule.protocol, rule.port or "", sorted(rule.source_ips)


def _body(public_key: str) -> list[str]:
    """Leave out the comment, which an API may have changed."""
    return public_key.split()[:2]
