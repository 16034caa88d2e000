"""The SSH key and the security group that servers of a Scaleway project are created with.

Scaleway puts every SSH key of the project into every server of it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from scaleway.iam.v1alpha1 import SSHKey
from scaleway.instance.v1 import (
    SecurityGroup,
    SecurityGroupPolicy,
    SecurityGroupRule,
    SecurityGroupRuleAction,
    SecurityGroupRuleDirection,
    SecurityGroupRuleProtocol,
    SetSecurityGroupRulesRequestRule,
)

from parrotpark.cloud.api import Furnishing, Rule, same_key
from parrotpark.cloud.errors import NotFound
from parrotpark.cloud.patience import Patience
from parrotpark.cloud.scaleway.client import PAGE, Apis, pages
from parrotpark.cloud.scaleway.views import there

type _Facts = tuple[str, int | None, int | None, str]


def furnish(apis: Apis, patiently: Patience, wanted: Furnishing, *, check: bool) -> Sequence[str]:
    """Make them so, unless `check`; return in a line each what changed.

    Raises:
        CloudError: the cloud refused.
    """
    furnisher = _Furnisher(apis, wanted, check)
    patiently(furnisher.key)
    patiently(furnisher.group)
    return tuple(furnisher.changes.values())


def ssh_keys(apis: Apis) -> list[SSHKey]:
    """List the SSH keys that are put into servers of the project."""
    found: list[SSHKey] = pages(
        lambda page: apis.iam.list_ssh_keys(project_id=apis.project, disabled=False, page=page, page_size=PAGE).ssh_keys
    )
    return found


def security_groups(apis: Apis) -> list[SecurityGroup]:
    """List the security groups of the project in the zone."""
    found: list[SecurityGroup] = pages(
        lambda page: apis.instance.list_security_groups(project=apis.project, page=page, per_page=PAGE).security_groups
    )
    return found


@dataclass(frozen=True, slots=True)
class _Furnisher:
    """Its steps are repeated where an answer was lost, and so remember what an earlier try has changed."""

    apis: Apis
    wanted: Furnishing
    check: bool
    changes: dict[str, str] = field(default_factory=dict)

    def key(self) -> None:
        name, wanted = self.wanted.ssh_key, self.wanted.public_key
        named = [key for key in ssh_keys(self.apis) if key.name == name]
        others = [key for key in named if not same_key(key.public_key, wanted)]
        if named and not others:
            return
        self.changes.setdefault("key", f"SSH key {name} {'replaced' if named else 'uploaded'}")
        if self.check:
            return
        # Names are not unique, so the new one can be there before the old one goes.
        if named == others:
            self.apis.iam.create_ssh_key(name=name, public_key=wanted, project_id=self.apis.project)
        for key in others:
            with suppress(NotFound):
                self.apis.iam.delete_ssh_key(ssh_key_id=key.id)

    def group(self) -> None:
        name = self.wanted.firewall
        found = next((group for group in security_groups(self.apis) if group.name == name), None)
        wanted = {facts for rule in self.wanted.rules for facts in _facts_of(rule)}
        if found and _closed(found) and {_facts(rule) for rule in self._rules(found)} == wanted:
            return
        self.changes.setdefault("firewall", f"rules of firewall {name} changed" if found else f"firewall {name} made")
        if self.check:
            return
        # Before its rules: a group without any lets nothing in.
        if found is None:
            found = self._made(name)
        elif not _closed(found):
            self.apis.instance.update_security_group(
                security_group_id=found.id, stateful=True, inbound_default_policy=SecurityGroupPolicy.DROP
            )
        self.apis.instance.set_security_group_rules(
            security_group_id=found.id,
            rules=[_rule(facts, place) for place, facts in enumerate(sorted(wanted, key=str), 1)],
        )

    def _made(self, name: str) -> SecurityGroup:
        answer = self.apis.instance.create_security_group(
            name=name,
            description="made by Parrotpark",
            project=self.apis.project,
            stateful=True,
            inbound_default_policy=SecurityGroupPolicy.DROP,
            outbound_default_policy=SecurityGroupPolicy.ACCEPT,
        )
        return there(answer.security_group)

    def _rules(self, group: SecurityGroup) -> list[SecurityGroupRule]:
        rules: list[SecurityGroupRule] = pages(
            lambda page: (
                self.apis.instance.list_security_group_rules(security_group_id=group.id, page=page, per_page=PAGE).rules
            )
        )
        return [rule for rule in rules if rule.editable]  # the others are Scaleway's own, against spam


def _closed(group: SecurityGroup) -> bool:
    return bool(group.stateful and group.inbound_default_policy == "drop")


def _facts_of(rule: Rule) -> Iterator[_Facts]:
    """Say what a rule does, in rules of the API: those have one network each."""
    first, _, last = (rule.port or "").partition("-")
    for source in rule.sources:
        network = str(ipaddress.ip_network(source, strict=False))
        yield rule.protocol, int(first) if first else None, int(last or first) if first else None, network


def _facts(rule: SecurityGroupRule) -> _Facts | tuple[str, str, str]:
    """Say what a rule of the API does, or that it does what none of ours does."""
    if (rule.direction, rule.action) != ("inbound", "accept"):
        return rule.id, rule.direction, rule.action
    first, last = rule.dest_port_from, rule.dest_port_to or rule.dest_port_from
    network = str(ipaddress.ip_network(rule.ip_range, strict=False))
    return rule.protocol.lower(), first or None, last or None, network


def _rule(facts: _Facts, position: int) -> SetSecurityGroupRulesRequestRule:
    protocol, first, last, network = facts
    return SetSecurityGroupRulesRequestRule(
        action=SecurityGroupRuleAction.ACCEPT,
        direction=SecurityGroupRuleDirection.INBOUND,
        protocol=cast(SecurityGroupRuleProtocol, protocol.upper()),  # as the API answers it, unlike the SDK's names
        dest_port_from=first,
        dest_port_to=last,
        ip_range=network,
        position=position,
        editable=True,
    )
