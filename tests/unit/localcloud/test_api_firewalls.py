"""Firewalls through the API, seen where they count: in the rules that the backend was given."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.backend import Rule
from localcloud.testing import LocalCloud

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
    assert cloud.refusal("DELETE", path) == (409, "resource_in_use")
    cloud.do(remove, {"remove_from": [*to(server), *by("a=b")]})
    assert cloud.backend.rules == {ADDRESS: None}
    assert cloud.refusal("POST", remove, {"remove_from": to(server)}) == (422, "firewall_already_removed")
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
        {**PING, "port": "1"},
        {**SSH, "source_ips": []},
        {**SSH, "source_ips": "0.0.0.0/0"},
        {**SSH, "source_ips": ["10.0.0.1/8"]},
        {**SSH, "source_ips": ["everywhere"]},
        {**SSH, "destination_ips": ["10.0.0.0/8"]},
        {**OUT, "destination_ips": []},
    ],
)
def test_wrong_rules_are_refused(cloud: LocalCloud, rule: object) -> None:
    assert cloud.refusal("POST", "/firewalls", {"name": "f", "rules": [rule]}) == (422, "invalid_input")


@pytest.mark.parametrize("target", ["x", {}, {"type": "server"}, {"type": "label_selector"}, *by("a b")])
def test_wrong_targets_are_refused(cloud: LocalCloud, target: object) -> None:
    assert cloud.refusal("POST", "/firewalls", {"name": "f", "apply_to": [target]}) == (422, "invalid_input")
    assert cloud.refusal("POST", "/firewalls", {"name": "f", "apply_to": to(4711)}) == (404, "not_found")
