"""The packet filter and address translation of all machines: one nftables table, replaced as a whole.

Rules mean what they mean at Hetzner: with a firewall applied, only what a rule allows comes in; everything goes out,
unless there is an outgoing rule: then only what a rule allows goes out. Answers always pass.

The machines' "public" addresses are public on this host only: nothing from outside reaches them. On the host itself
the machines reach only what `paths.SERVICES` names, whatever else listens on all its addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network

from localcloud.core.backend import Rule
from localcloud.machine.process import run, succeeds
from localcloud.paths import METADATA, NETWORK, SERVICES

TABLE = "parrotpark"


def render(filters: Mapping[str, Sequence[Rule] | None], name_servers: Sequence[IPv4Address] = ()) -> str:
    """Render the table for all machines, by IPv4 address; the host may be one of the name servers."""
    guarded = {ipv4: rules for ipv4, rules in sorted(filters.items()) if rules is not None}
    outgoing = {ipv4: rules for ipv4, rules in guarded.items() if any(rule.direction == "out" for rule in rules)}
    chains = [_chain("in", ipv4, rules) for ipv4, rules in guarded.items()]
    chains += [_chain("out", ipv4, rules) for ipv4, rules in outgoing.items()]
    into = _verdicts("daddr", "in", guarded)
    out_of = _verdicts("saddr", "out", outgoing)
    services = ", ".join(f"{address} . {port}" for address, port in SERVICES)
    servers = ", ".join(map(str, name_servers))
    names = (
        f"    ct original ip daddr {{ {servers} }} meta l4proto {{ tcp, udp }} ct original proto-dst 53 accept\n"
        if servers
        else ""
    )
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{"".join(chains)}
  chain judge {{
    ct state established,related accept
{out_of}{into}  }}
  chain from_machines {{
    type filter hook prerouting priority -300
    # No machine may use another's address: the metadata service identifies machines by it.
    iifname "{TABLE}*" meta nfproto ipv6 drop
    iifname "{TABLE}*" fib saddr . iif oif missing drop
  }}
  chain between {{
    type filter hook forward priority -10
    iifname != "{TABLE}*" ct state new oifname "{TABLE}*" drop
    # What the host forwards to its own containers counts as its services.
    iifname "{TABLE}*" ct status dnat jump services
    jump judge
  }}
  chain from_host {{
    type filter hook output priority -10
    oifname "{TABLE}*" jump judge
  }}
  chain to_host {{
    type filter hook input priority -10
    ip daddr {{ {METADATA}, {NETWORK} }} iifname != {{ "lo", "{TABLE}*" }} drop
    iifname "{TABLE}*" jump services
  }}
  chain services {{
    ip daddr != {METADATA} jump judge
    ct state established,related accept
    ip daddr . tcp dport {{ {services} }} accept
{names}    reject with icmpx admin-prohibited
  }}
  chain translate {{
    type nat hook postrouting priority 100
    ip saddr {NETWORK} ip daddr != {NETWORK} masquerade
  }}
}}
"""


def apply(filters: Mapping[str, Sequence[Rule] | None], name_servers: Sequence[IPv4Address]) -> None:
    """Replace the table at once."""
    run("nft", "-f", "-", stdin=render(filters, name_servers))


def remove() -> None:
    """Remove the table."""
    if succeeds("nft", "list", "table", "inet", TABLE):
        run("nft", "delete", "table", "inet", TABLE)


def _chain(direction: str, ipv4: str, rules: Sequence[Rule]) -> str:
    lines = [line for rule in rules if rule.direction == direction for line in _matches(rule)]
    body = "".join(f"    {line} return\n" for line in lines)
    return f"  chain {_name(direction, ipv4)} {{\n{body}    drop\n  }}\n"


def _matches(rule: Rule) -> list[str]:
    networks = [network for network in map(ip_network, rule.networks) if isinstance(network, IPv4Network)]
    end = "saddr" if rule.direction == "in" else "daddr"
    what = f"ip protocol {rule.protocol}" if rule.port in (None, "any") else f"{rule.protocol} dport {rule.port}"
    return [f"ip {end} {network} {what}" for network in networks]


def _verdicts(end: str, direction: str, filters: Mapping[str, Sequence[Rule]]) -> str:
    if not filters:
        return ""
    jumps = ", ".join(f"{ipv4} : jump {_name(direction, ipv4)}" for ipv4 in filters)
    return f"    ip {end} vmap {{ {jumps} }}\n"


def _name(direction: str, ipv4: str) -> str:
    return f"{direction}_{ipv4.replace('.', '_')}"
