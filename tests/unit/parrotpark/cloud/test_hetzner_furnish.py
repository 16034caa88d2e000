"""The SSH key and the firewall of a project at Hetzner, and its prices, against the local cloud's API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hcloud import Client
from hcloud.firewalls import FirewallRule

from parrotpark.cloud import Account, Furnishing, Offer, Rule, ServerSpec
from parrotpark.cloud.errors import InvalidRequest, Transient
from parrotpark.cloud.hetzner import HetznerCloud
from tests.cloud_in_memory import PUBLIC_KEY, Served

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import Network

pytestmark = pytest.mark.usefixtures("impatient")

OTHER_KEY = PUBLIC_KEY.replace("IOMq", "IOMr")
WANTED = Furnishing(
    "parrotpark",
    PUBLIC_KEY,
    "parrotpark-gpu",
    (Rule("tcp", "22", ("192.0.2.0/24", "2001:db8::/32")), Rule("icmp", None, ("0.0.0.0/0", "::/0"))),
)
BOTH = ("SSH key parrotpark uploaded", "firewall parrotpark-gpu made")


@pytest.fixture
def client(local_cloud: Served, token: str) -> Client:
    return Client(token, api_endpoint=local_cloud.endpoint)


def rules(client: Client) -> list[tuple[str, str, str | None, list[str]]]:
    firewall = client.firewalls.get_by_name("parrotpark-gpu")
    assert firewall is not None
    return [(rule.direction, rule.protocol, rule.port, list(rule.source_ips)) for rule in firewall.rules or ()]


def public_keys(client: Client) -> dict[str | None, str | None]:
    return {key.name: key.public_key for key in client.ssh_keys.get_all()}


def test_a_project_is_furnished_once(hetzner: HetznerCloud, client: Client) -> None:
    assert hetzner.furnish(WANTED, check=True) == BOTH
    assert (client.ssh_keys.get_all(), client.firewalls.get_all()) == ([], [])
    assert hetzner.furnish(WANTED) == BOTH
    assert public_keys(client) == {"parrotpark": PUBLIC_KEY}
    assert rules(client) == [
        ("in", "tcp", "22", ["192.0.2.0/24", "2001:db8::/32"]),
        ("in", "icmp", None, ["0.0.0.0/0", "::/0"]),
    ]
    assert hetzner.furnish(WANTED) == ()


def test_another_order_notation_or_comment_is_no_change(hetzner: HetznerCloud) -> None:
    hetzner.furnish(WANTED)
    tcp, icmp = WANTED.rules
    turned = (icmp, replace(tcp, sources=("2001:DB8:0::/32", "192.0.2.0/24")), icmp)
    comment = PUBLIC_KEY.replace("test@localhost", "somebody@elsewhere")
    assert hetzner.furnish(replace(WANTED, public_key=comment, rules=turned)) == ()


def test_a_key_is_replaced(hetzner: HetznerCloud, client: Client) -> None:
    hetzner.furnish(WANTED)
    client.ssh_keys.create("of somebody", PUBLIC_KEY.replace("IOMq", "IOMs"))
    wanted = replace(WANTED, public_key=OTHER_KEY)
    assert hetzner.furnish(wanted, check=True) == ("SSH key parrotpark replaced",)
    assert public_keys(client)["parrotpark"] == PUBLIC_KEY
    assert hetzner.furnish(wanted) == ("SSH key parrotpark replaced",)
    assert public_keys(client)["parrotpark"] == OTHER_KEY
    assert len(public_keys(client)) == 2


@pytest.mark.parametrize("before", [False, True])
def test_a_key_that_has_another_name_is_refused_and_the_old_one_stays(
    hetzner: HetznerCloud, client: Client, before: bool
) -> None:
    if before:
        hetzner.furnish(WANTED)
    client.ssh_keys.create("my key", OTHER_KEY)
    keys = public_keys(client)
    with pytest.raises(InvalidRequest, match="public key of parrotpark is in the project already, as my key: delete"):
        hetzner.furnish(replace(WANTED, public_key=OTHER_KEY))
    assert public_keys(client) == keys


def test_rules_are_replaced_where_servers_keep_their_firewall(
    hetzner: HetznerCloud, client: Client, local_cloud: Served
) -> None:
    hetzner.furnish(WANTED)
    hetzner.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), "debian-13", {}, firewalls=("parrotpark-gpu",)))
    before = len(local_cloud.backend.calls)
    wanted = replace(WANTED, rules=(Rule("udp", "51820-51830", ("192.0.2.1/32",)),))
    assert hetzner.furnish(wanted, check=True) == ("rules of firewall parrotpark-gpu changed",)
    assert hetzner.furnish(wanted) == ("rules of firewall parrotpark-gpu changed",)
    assert rules(client) == [("in", "udp", "51820-51830", ["192.0.2.1/32"])]
    assert local_cloud.backend.calls[before:] == ["filter"]
    (enforced,) = local_cloud.backend.rules.values()
    assert enforced is not None
    assert [rule.port for rule in enforced] == ["51820-51830"]


def test_a_rule_that_lets_out_is_none_of_ours(hetzner: HetznerCloud, client: Client) -> None:
    hetzner.furnish(WANTED)
    firewall = client.firewalls.get_by_name("parrotpark-gpu")
    assert firewall is not None
    out = FirewallRule(FirewallRule.DIRECTION_OUT, "tcp", [], "25", ["0.0.0.0/0"])
    firewall.set_rules([*(firewall.rules or ()), out])
    assert hetzner.furnish(WANTED) == ("rules of firewall parrotpark-gpu changed",)
    assert len(rules(client)) == 2


@pytest.mark.parametrize("call", ["/v1/ssh_keys", "/v1/firewalls"])
@pytest.mark.parametrize("fault", ["lost", "nonsense"])
def test_what_an_unanswered_call_has_changed_is_reported(
    hetzner: HetznerCloud, client: Client, network: Network, call: str, fault: str
) -> None:
    network.spoil(fault, call=f"POST http://{client._client._endpoint.partition('://')[2].partition('/')[0]}{call}")
    assert hetzner.furnish(WANTED) == BOTH
    assert hetzner.furnish(WANTED) == ()


@pytest.mark.parametrize("kind", ["ssh_keys", "firewalls"])
def test_what_another_run_makes_at_the_same_time_is_taken(
    hetzner: HetznerCloud, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As hcloud-python does itself when it repeats a call whose answer a proxy has lost."""
    ours = getattr(hetzner._client, kind)
    create = ours.create

    def beaten(*arguments: object) -> object:
        create(*arguments)
        return create(*arguments)

    monkeypatch.setattr(ours, "create", beaten)
    assert hetzner.furnish(WANTED) == BOTH


def test_a_firewall_that_cannot_be_changed_is_no_success(account: Account, token: str, local_cloud: Served) -> None:
    hetzner = HetznerCloud(account, token, sleep=lambda _: None)
    hetzner.furnish(WANTED)
    local_cloud.backend.fails = {"filter"}
    with pytest.raises(Transient, match="filter does not work today"):
        hetzner.furnish(replace(WANTED, rules=()))


@pytest.mark.parametrize(
    ("location", "server_type", "price"),
    [("fsn1", "ccx33", 0.0777), ("hel1", "gpu-l40s", 1.4), ("fsn1", "gpu-l40s", None), ("fsn1", "ccx99", None)],
)
def test_a_price_is_net_an_hour_where_it_is_sold(
    hetzner: HetznerCloud, location: str, server_type: str, price: float | None
) -> None:
    assert hetzner.price(Offer("gpu", location, server_type)) == price
