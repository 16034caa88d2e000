"""The packet filter as nftables is told it; that it filters is shown by tests/conformance."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from localcloud.core.backend import Rule
from localcloud.machine import firewall

ANYWHERE = ("0.0.0.0/0", "::/0")
SSH = Rule("in", "tcp", "22", ANYWHERE)
WEB_OUT = Rule("out", "tcp", "80-443", ("192.0.2.0/24", "198.51.100.7/32"))


def chain(table: str, name: str) -> list[str]:
    """The statements of one chain."""
    _, _, rest = table.partition(f"chain {name} {{\n")
    return [line.strip() for line in rest.partition("\n  }\n")[0].splitlines()]


def test_without_firewalls_nothing_is_judged() -> None:
    table = firewall.render({"10.77.0.10": None})
    assert chain(table, "judge") == ["ct state established,related accept"]


def test_a_firewall_without_rules_lets_nothing_in_and_everything_out() -> None:
    table = firewall.render({"10.77.0.10": []})
    assert chain(table, "in_10_77_0_10") == ["drop"]
    assert "out_10_77_0_10" not in table


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (SSH, "ip saddr 0.0.0.0/0 tcp dport 22 return"),
        (Rule("in", "udp", "any", ANYWHERE), "ip saddr 0.0.0.0/0 ip protocol udp return"),
        (Rule("in", "icmp", None, ANYWHERE), "ip saddr 0.0.0.0/0 ip protocol icmp return"),
        (Rule("in", "esp", None, ("192.0.2.1/32",)), "ip saddr 192.0.2.1/32 ip protocol esp return"),
    ],
)
def test_a_rule_lets_in_what_it_names(rule: Rule, statement: str) -> None:
    assert chain(firewall.render({"10.77.0.10": [rule]}), "in_10_77_0_10") == [statement, "drop"]


def test_an_outgoing_rule_closes_all_other_ways_out() -> None:
    table = firewall.render({"10.77.0.10": [WEB_OUT]})
    assert chain(table, "out_10_77_0_10") == [
        "ip daddr 192.0.2.0/24 tcp dport 80-443 return",
        "ip daddr 198.51.100.7/32 tcp dport 80-443 return",
        "drop",
    ]


def test_a_rule_for_ipv6_alone_lets_nothing_in() -> None:
    table = firewall.render({"10.77.0.10": [Rule("in", "tcp", "22", ("::/0",))]})
    assert chain(table, "in_10_77_0_10") == ["drop"]


def test_every_guarded_address_is_judged_on_its_own() -> None:
    table = firewall.render({"10.77.0.11": [SSH], "10.77.0.10": [], "10.77.0.12": None})
    judge = chain(table, "judge")
    assert "ip daddr vmap { 10.77.0.10 : jump in_10_77_0_10, 10.77.0.11 : jump in_10_77_0_11 }" in judge


def test_only_the_host_and_its_machines_reach_the_cloud_s_own_addresses() -> None:
    first, *_ = (line for line in chain(firewall.render({}), "to_host") if not line.startswith("type"))
    assert first == 'ip daddr { 169.254.169.254, 10.77.0.0/24 } iifname != { "lo", "parrotpark*" } drop'


def test_machines_reach_of_the_host_what_is_declared_and_nothing_else() -> None:
    *_, enter = chain(firewall.render({}), "to_host")
    assert enter == 'iifname "parrotpark*" jump services'
    assert chain(firewall.render({}), "services") == [
        "ip daddr != 169.254.169.254 jump judge",
        "ct state established,related accept",
        "ip daddr . tcp dport { 10.77.0.1 . 8770, 10.77.0.1 . 5000, 10.77.0.1 . 7070, 169.254.169.254 . 80 } accept",
        "reject with icmpx admin-prohibited",
    ]


def test_a_host_that_is_a_name_server_stays_one() -> None:
    services = chain(firewall.render({}, [IPv4Address("192.0.2.53")]), "services")
    assert (
        services[-2] == "ct original ip daddr { 192.0.2.53 } meta l4proto { tcp, udp } ct original proto-dst 53 accept"
    )
