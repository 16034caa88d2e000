"""The SSH key and the firewall that servers of a Hetzner Cloud project are created with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hcloud import APIException, Client
from hcloud.firewalls import FirewallRule

from parrotpark.cloud.api import Furnishing, Rule, same_key
from parrotpark.cloud.errors import InvalidRequest, Transient
from parrotpark.cloud.patience import Patience


def furnish(client: Client, patiently: Patience, wanted: Furnishing, *, check: bool) -> Sequence[str]:
    """Make them so, unless `check`; return in a line each what changed.

    Raises:
        InvalidRequest: the public key is in the project under another name, which the API allows only once.
        CloudError: the cloud refused.
    """
    furnisher = _Furnisher(client, wanted, check)
    patiently(furnisher.key)
    patiently(furnisher.firewall)
    return tuple(furnisher.changes.values())


@dataclass(frozen=True, slots=True)
class _Furnisher:
    """Its steps are repeated where an answer was lost, and so remember what an earlier try has changed."""

    client: Client
    wanted: Furnishing
    check: bool
    changes: dict[str, str] = field(default_factory=dict)

    def key(self) -> None:
        name, wanted = self.wanted.ssh_key, self.wanted.public_key
        keys = self.client.ssh_keys.get_all()
        found = next((key for key in keys if key.name == name), None)
        if found and same_key(str(found.public_key), wanted):
            return
        # Before the old one goes: a key that cannot be uploaded is to leave everything as it is.
        for key in keys:
            if same_key(str(key.public_key), wanted):
                raise InvalidRequest(
                    f"the public key of {name} is in the project already, as {key.name}: delete that one"
                )
        self.changes.setdefault("key", f"SSH key {name} {'replaced' if found else 'uploaded'}")
        if not self.check:
            with _may_be_done():
                if found:  # A key cannot be changed; servers that were created with it keep it.
                    found.delete()
                self.client.ssh_keys.create(name, wanted)

    def firewall(self) -> None:
        name, rules = self.wanted.firewall, [_rule(rule) for rule in self.wanted.rules]
        found = self.client.firewalls.get_by_name(name)
        tried = "firewall" in self.changes  # then these are its rules, but servers may not have them yet
        if found and not tried and set(map(_facts, found.rules or ())) == set(map(_facts, rules)):
            return
        self.changes.setdefault("firewall", f"rules of firewall {name} changed" if found else f"firewall {name} made")
        if self.check:
            return
        if found is None:
            with _may_be_done():
                self.client.firewalls.create(name, rules)
        else:
            for action in found.set_rules(rules):
                action.wait_until_finished()


@contextmanager
def _may_be_done() -> Iterator[None]:
    """Let the step be repeated, and so look again, where hcloud-python or another run has done this meanwhile."""
    try:
        yield
    except APIException as error:
        if error.code not in ("uniqueness_error", "not_found"):
            raise
        raise Transient(f"the project is being changed by another run as well ({error.code}): try again") from error


def _rule(rule: Rule) -> FirewallRule:
    return FirewallRule(FirewallRule.DIRECTION_IN, rule.protocol, list(rule.sources), rule.port)


def _facts(rule: FirewallRule) -> tuple[str, str, str, frozenset[str]]:
    """Say what a rule does, however the API writes that."""
    sources = frozenset(str(ipaddress.ip_network(source, strict=False)) for source in rule.source_ips)
    return rule.direction, rule.protocol, rule.port or "", sources
