"""Primary IPs through the API: addresses that stay when servers go."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from tests.cloud_in_memory import LocalCloud

ADDRESS = {"name": "entry", "type": "ipv4", "location": "fsn1", "assignee_type": "server", "auto_delete": False}
SERVER = {"name": "s", "server_type": "cx23", "image": "debian-13", "location": "fsn1"}


@pytest.fixture
def address(cloud: LocalCloud) -> int:
    """The primary IP 10.77.0.10 that belongs to no server."""
    id_: int = cloud.do("/primary_ips", ADDRESS)["primary_ip"]["id"]
    return id_


def server_with(cloud: LocalCloud, address: int, **fields: object) -> Any:
    return cloud.do("/servers", {**SERVER, "public_net": {"ipv4": address}, **fields})["server"]


def test_what_clients_send_for_nothing_is_nothing(cloud: LocalCloud) -> None:
    cloud.do("/primary_ips", {**ADDRESS, "datacenter": "", "assignee_id": None, "labels": None})


def test_server_takes_the_address_it_is_given_and_leaves_it(cloud: LocalCloud, address: int) -> None:
    for name in ("one", "two"):
        server = server_with(cloud, address, name=name)
        assert (server["public_net"]["ipv4"]["id"], server["public_net"]["ipv4"]["ip"]) == (address, "10.77.0.10")
        assert cloud.get(f"/primary_ips/{address}")["primary_ip"]["assignee_id"] == server["id"]
        cloud.do(f"/servers/{server['id']}", method="DELETE")
        assert cloud.get(f"/primary_ips/{address}")["primary_ip"]["assignee_id"] is None


def test_addresses_are_given_from_the_lowest_and_never_twice(cloud: LocalCloud, address: int) -> None:
    given = []
    for project in ("entry", "gpu"):
        server = cloud.do("/servers", SERVER, project=project)["server"]
        given.append(server["public_net"]["ipv4"]["ip"])
    assert given == ["10.77.0.11", "10.77.0.12"]
    cloud.do(f"/primary_ips/{address}", method="DELETE")
    assert cloud.do("/primary_ips", ADDRESS)["primary_ip"]["ip"] == "10.77.0.10"


def test_addresses_run_out(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.core.store.NETWORK", IPv4Network("10.77.0.0/28"))
    for number in range(10, 15):
        assert cloud.do("/primary_ips", {**ADDRESS, "name": str(number)})["primary_ip"]["ip"] == f"10.77.0.{number}"
    assert cloud.refusal("POST", "/primary_ips", ADDRESS) == (403, "resource_limit_exceeded")
    assert cloud.refusal("POST", "/servers", SERVER) == (403, "resource_limit_exceeded")


def test_address_in_use_is_refused(cloud: LocalCloud, address: int) -> None:
    server_with(cloud, address)
    body = {**SERVER, "name": "t", "public_net": {"ipv4": address}}
    assert cloud.refusal("POST", "/servers", body) == (422, "primary_ip_assigned")
    assert cloud.refusal("DELETE", f"/primary_ips/{address}") == (422, "must_be_unassigned")


def test_address_and_server_share_a_location(cloud: LocalCloud, address: int) -> None:
    body = {**SERVER, "location": "hel1", "public_net": {"ipv4": address}}
    assert cloud.refusal("POST", "/servers", body) == (422, "invalid_input")


def test_move_to_another_server(cloud: LocalCloud, address: int) -> None:
    first = server_with(cloud, address)["id"]
    path = f"/primary_ips/{address}"
    assert cloud.refusal("POST", f"{path}/actions/unassign") == (422, "server_not_stopped")
    cloud.do(f"/servers/{first}/actions/poweroff")
    cloud.do(f"{path}/actions/unassign")
    assert cloud.get(f"/servers/{first}")["server"]["public_net"]["ipv4"] is None
    assert cloud.refusal("POST", f"/servers/{first}/actions/poweron") == (422, "server_without_address")
    assert cloud.refusal("POST", f"{path}/actions/unassign") == (422, "primary_ip_not_assigned")

    other = cloud.do("/primary_ips", {**ADDRESS, "name": "other"})["primary_ip"]["id"]
    cloud.do(f"/primary_ips/{other}/actions/assign", {"assignee_id": first, "assignee_type": "server"})
    cloud.do(f"/servers/{first}/actions/poweron")
    assert cloud.backend.machines[first].ipv4 == "10.77.0.11"

    second = cloud.do("/servers", {**SERVER, "name": "t", "start_after_create": False})["server"]["id"]
    refusal = cloud.refusal("POST", f"{path}/actions/assign", {"assignee_id": second, "assignee_type": "server"})
    assert refusal == (422, "server_has_ipv4")


def test_server_without_address_can_be_deleted(cloud: LocalCloud, address: int) -> None:
    server = server_with(cloud, address, start_after_create=False)["id"]
    cloud.do(f"/primary_ips/{address}/actions/unassign")
    cloud.do(f"/servers/{server}", method="DELETE")
    assert not cloud.backend.machines


def test_auto_delete(cloud: LocalCloud, address: int) -> None:
    cloud.do(f"/primary_ips/{address}", {"auto_delete": True, "labels": {"a": "b"}}, method="PUT")
    server = server_with(cloud, address)["id"]
    cloud.do(f"/servers/{server}", method="DELETE")
    assert cloud.get("/primary_ips")["primary_ips"] == []


def test_protection(cloud: LocalCloud, address: int) -> None:
    path = f"/primary_ips/{address}"
    cloud.do(f"{path}/actions/change_protection", {"delete": True})
    assert cloud.refusal("DELETE", path) == (423, "protected")
    assert cloud.get(path)["primary_ip"]["protection"] == {"delete": True}


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"type": "ipv6"}, (422, "invalid_input")),
        ({"name": None}, (422, "invalid_input")),
        ({"location": "moon"}, (404, "not_found")),
        ({"location": None}, (422, "invalid_input")),
        ({"datacenter": "fsn1-dc14"}, (422, "invalid_input")),
        ({"assignee_id": 5}, (422, "invalid_input")),
    ],
)
def test_refused_address_leaves_nothing(cloud: LocalCloud, fields: dict[str, object], refusal: tuple[int, str]) -> None:
    assert cloud.refusal("POST", "/primary_ips", {**ADDRESS, **fields}) == refusal
