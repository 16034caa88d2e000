"""Firewalls through the API, seen where they count: in the rules that the backend was given."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.core.backend import Rule
from tests.cloud_in_memory import LocalCloud

SSH = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0", "::/0"]}
PING = {"direction": "in", "protocol": "icmp", "source_ips": ["10.0.0.0/8"]}
OUT = {"direction": "out", "protocol": "udp", "port": "53-54", "destination_ips": ["10.0.0.1/32"]}
SSH_RULE = Rule("in", "tcp", "22", ("0.0.0.0/0", "::/0"))
ADDRESS = "10.77.0.10"


@pytest.fixture
def server(cloud: LocalCloud) -> int:
    """A server with the address 10.77.0.10."""
    body = {"name": "s", "server_type": "cx23", "image": "debian-13", "labels": {"role": "gpu"}}
    id_: int = cloud.do("/servers", body)["server"]["id"]
    return id_


def to(server: int) -> list[Any]:
    return [{"type": "server", "server": {"id": server}}]


def by(selector: str) -> list[Any]:
    return [{"type": "label_selector", "label_selector": {"selector": selector}}]


def test_no_firewall_is_not_an_empty_one(cloud: LocalCloud, server: int) -> None:
    assert cloud.backend.rules == {ADDRESS: None}
    cloud.do("/firewalls", {"name": "f", "apply_to": to(server)})
    assert cloud.backend.rules == {ADDRESS: []}


def test_rules_are_given_to_the_backend_and_shown_with_all_keys(cloud: LocalCloud, server: int) -> None:
    answer = cloud.do("/firewalls", {"name": "f", "rules": [SSH, PING, OUT], "apply_to": to(server)})
    assert cloud.backend.rules == {
        ADDRESS: [SSH_RULE, Rule("in", "icmp", None, ("10.0.0.0/8",)), Rule("out", "udp", "53-54", ("10.0.0.1/32",))]
    }
    assert answer["firewall"]["rules"][1] == {
        "direction": "in",
        "protocol": "icmp",
        "port": None,
        "source_ips": ["10.0.0.0/8"],
        "destination_ips": [],
        "description": None,
    }
    assert {action["status"] for action in answer["actions"]} == {"success"}
    shown = cloud.get(f"/servers/{server}")["server"]["public_net"]["firewalls"]
    assert shown == [{"id": answer["firewall"]["id"], "status": "applied"}]


def test_rules_change_and_several_firewalls_add_up(cloud: LocalCloud, server: int) -> None:
    first = cloud.do("/firewalls", {"name": "a", "apply_to": to(server)})["firewall"]["id"]
    cloud.do("/firewalls", {"name": "b", "rules": [PING], "apply_to": to(server)})
    cloud.do(f"/firewalls/{first}/actions/set_rules", {"rules": [SSH]})
    assert cloud.backend.rules[ADDRESS] == [SSH_RULE, Rule("in", "icmp", None, ("10.0.0.0/8",))]


def test_label_selector_follows_labels_and_servers(cloud: LocalCloud, server: int) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "rules": [SSH], "apply_to": by("role=gpu")})["firewall"]
    assert firewall["applied_to"] == [*by("role=gpu")] or firewall["applied_to"][0]["applied_to_resources"] == to(
        server
    )
    assert cloud.backend.rules == {ADDRESS: [SSH_RULE]}
    cloud.do(f"/servers/{server}", {"labels": {"role": "entry"}}, method="PUT")
    assert cloud.backend.rules == {ADDRESS: None}

    body = {"name": "t", "server_type": "cx23", "image": "debian-13", "labels": {"role": "gpu"}}
    second = cloud.do("/servers", body)["server"]["id"]
    assert cloud.backend.rules == {ADDRESS: None, "10.77.0.11": [SSH_RULE]}
    cloud.do("/servers", body, project="gpu")
    assert cloud.backend.rules["10.77.0.12"] is None  # another project's labels do not count
    assert cloud.get(f"/firewalls/{firewall['id']}")["firewall"]["applied_to"][0]["applied_to_resources"] == to(second)


def test_apply_and_remove(cloud: LocalCloud, server: int) -> None:
    path = f"/firewalls/{cloud.do('/firewalls', {'name': 'f', 'rules': [SSH]})['firewall']['id']}"
    apply, remove = f"{path}/actions/apply_to_resources", f"{path}/actions/remove_from_resources"
    cloud.do(apply, {"apply_to": [*to(server), *by("a=b")]})
    assert cloud.backend.rules == {ADDRESS: [SSH_RULE]}
    assert cloud.refusal("POST", apply, {"apply_to": to(server)}) == (422, "firewall_already_applied")
    assert cloud.refusal("DELETE", path) == (422, "resource_in_use")
    cloud.do(remove, {"remove_from": [*to(server), *by("a=b")]})
    assert cloud.backend.rules == {ADDRESS: None}
    assert cloud.refusal("POST", remove, {"remove_from": to(server)}) == (404, "firewall_resource_not_found")
    cloud.do(path, method="DELETE")


def test_firewalls_are_up_before_the_server_is(cloud: LocalCloud) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "rules": [SSH]})["firewall"]["id"]
    cloud.backend.calls.clear()
    body = {"name": "s", "server_type": "cx23", "image": "debian-13", "firewalls": [{"firewall": firewall}]}
    cloud.do("/servers", body)
    assert cloud.backend.calls == ["create", "filter", "attach_volumes", "start"]
    assert cloud.backend.rules == {ADDRESS: [SSH_RULE]}


def test_no_server_starts_without_its_firewalls(cloud: LocalCloud) -> None:
    cloud.backend.fails = {"filter"}
    cloud.do("/servers", {"name": "s", "server_type": "cx23", "image": "debian-13"})
    assert not cloud.backend.on


def test_deleted_server_leaves_its_firewalls(cloud: LocalCloud, server: int) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "apply_to": to(server)})["firewall"]["id"]
    cloud.do(f"/servers/{server}", method="DELETE")
    assert cloud.get(f"/firewalls/{firewall}")["firewall"]["applied_to"] == []


def test_failing_filter_fails_the_action(cloud: LocalCloud, server: int) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "apply_to": to(server)})["firewall"]["id"]
    cloud.backend.fails = {"filter"}
    action = cloud.do(f"/firewalls/{firewall}/actions/set_rules", {"rules": [SSH]})["actions"][0]
    assert (action["status"], action["error"]["message"]) == ("error", "filter does not work today")
    assert cloud.get(f"/servers/{server}")["server"]["public_net"]["firewalls"][0]["status"] == "pending"


@pytest.mark.parametrize(
    "rule",
    [
        "text",
        {},
        {**SSH, "direction": "up"},
        {**SSH, "protocol": "ipx"},
        {**SSH, "port": None},
        {**SSH, "port": "0"},
        {**SSH, "port": "65536"},
        {**SSH, "port": "90-80"},
        {**SSH, "port": "ssh"},
        {**SSH, "port": "022"},  # an octal number to nftables
        {**SSH, "port": "٢٢"},
        {**SSH, "port": 22},
        {**SSH, "port": True},
        {**PING, "port": "1"},
        {**SSH, "source_ips": []},
        {**SSH, "source_ips": "0.0.0.0/0"},
        {**SSH, "source_ips": ["10.0.0.1/8"]},
        {**SSH, "source_ips": ["everywhere"]},
        {**SSH, "source_ips": ["10.0.0.1"]},
        {**SSH, "source_ips": [10]},
        {**SSH, "source_ips": [f"10.0.0.{number}/32" for number in range(101)]},
        {**SSH, "description": 22},
        {**SSH, "description": "x" * 256},
        {**SSH, "direction": ["in"]},
        {**SSH, "destination_ips": ["10.0.0.0/8"]},
        {**OUT, "destination_ips": []},
    ],
)
def test_wrong_rules_are_refused(cloud: LocalCloud, rule: object) -> None:
    assert cloud.refusal("POST", "/firewalls", {"name": "f", "rules": [rule]}) == (422, "invalid_input")


@pytest.mark.parametrize("target", ["x", {}, {"type": "server"}, {"type": "label_selector"}, *by("a b")])
def test_wrong_targets_are_refused(cloud: LocalCloud, target: object) -> None:
    assert cloud.refusal("POST", "/firewalls", {"name": "f", "apply_to": [target]}) == (422, "invalid_input")


def test_a_server_that_is_gone_is_named(cloud: LocalCloud, server: int) -> None:
    firewall = cloud.do("/firewalls", {"name": "f"})["firewall"]["id"]
    theirs = cloud.do("/servers", {"name": "t", "server_type": "cx23", "image": "debian-13"}, project="gpu")
    for gone in (4711, theirs["server"]["id"]):
        body = {"name": "g", "apply_to": to(gone)}
        assert cloud.refusal("POST", "/firewalls", body) == (422, "firewall_resource_not_found")
        for verb, field in (("apply_to", "apply_to"), ("remove_from", "remove_from")):
            path = f"/firewalls/{firewall}/actions/{verb}_resources"
            assert cloud.refusal("POST", path, {field: to(gone)}) == (404, "firewall_resource_not_found")
    twice = {"name": "g", "apply_to": [*to(server), *to(server)]}
    assert cloud.refusal("POST", "/firewalls", twice) == (422, "server_already_added")


def test_what_a_selector_applies_is_not_removed_by_hand(cloud: LocalCloud, server: int) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "apply_to": by("role=gpu")})["firewall"]["id"]
    path = f"/firewalls/{firewall}/actions/remove_from_resources"
    refusal = cloud.refusal("POST", path, {"remove_from": to(server)})
    assert refusal == (422, "firewall_managed_by_label_selector")


@pytest.mark.parametrize("port", ["any", "22", "80-80", "1-65535"])
def test_rules_come_back_as_they_were_sent(cloud: LocalCloud, server: int, port: str) -> None:
    rule = {**SSH, "port": port, "destination_ips": [], "description": ""}
    made = cloud.do("/firewalls", {"name": "f", "rules": [rule], "apply_to": to(server)})["firewall"]
    assert made["rules"] == cloud.get(f"/firewalls/{made['id']}")["firewall"]["rules"] == [rule]
    assert cloud.backend.rules[ADDRESS] == [Rule("in", "tcp", port, ("0.0.0.0/0", "::/0"))]


@pytest.mark.parametrize("body", [{}, {"rules": None}, {"rule": [SSH]}])
def test_rules_are_not_wiped_by_mistake(cloud: LocalCloud, body: object) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "rules": [SSH]})["firewall"]["id"]
    path = f"/firewalls/{firewall}/actions/set_rules"
    assert cloud.refusal("POST", path, body) == (422, "invalid_input")
    cloud.do(path, {"rules": []})
    assert cloud.get(f"/firewalls/{firewall}")["firewall"]["rules"] == []


def test_a_firewall_has_fifty_rules_at_most(cloud: LocalCloud) -> None:
    firewall = cloud.do("/firewalls", {"name": "f", "rules": [SSH] * 50})["firewall"]["id"]
    path = f"/firewalls/{firewall}/actions/set_rules"
    assert cloud.refusal("POST", path, {"rules": [SSH] * 51}) == (422, "invalid_input")
    assert cloud.refusal("POST", "/firewalls", {"name": "g", "rules": [SSH] * 51}) == (422, "invalid_input")


def test_a_server_has_five_firewalls_at_most(cloud: LocalCloud, server: int) -> None:
    made = [cloud.do("/firewalls", {"name": str(number)})["firewall"]["id"] for number in range(6)]
    for each in made[:4]:
        cloud.do(f"/firewalls/{each}/actions/apply_to_resources", {"apply_to": to(server)})
    cloud.do(f"/firewalls/{made[4]}/actions/apply_to_resources", {"apply_to": by("role=gpu")})
    for targets in (to(server), by("role")):
        path = f"/firewalls/{made[5]}/actions/apply_to_resources"
        assert cloud.refusal("POST", path, {"apply_to": targets}) == (403, "resource_limit_exceeded")
        body = {"name": "another", "apply_to": targets}
        assert cloud.refusal("POST", "/firewalls", body) == (403, "resource_limit_exceeded")
    body = {"name": "t", "server_type": "cx23", "image": "debian-13", "firewalls": [{"firewall": id_} for id_ in made]}
    assert cloud.refusal("POST", "/servers", body) == (403, "resource_limit_exceeded")
