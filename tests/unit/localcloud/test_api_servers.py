"""Servers through the API: what clients see, and what the backend was told."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from tests.cloud_in_memory import PUBLIC_KEY, LocalCloud

SERVER = {"name": "entry", "server_type": "cx33", "image": "debian-13", "location": "fsn1"}


def created(cloud: LocalCloud, **fields: object) -> Any:
    answer = cloud.do("/servers", {**SERVER, **fields})
    return cloud.get(f"/servers/{answer['server']['id']}")["server"]


def outcome(cloud: LocalCloud, answer: Any) -> tuple[str, str | None]:
    action = cloud.get(f"/actions/{answer['action']['id']}")["action"]
    return action["status"], action["error"] and action["error"]["message"]


def test_create_answers_at_once_and_runs_on(cloud: LocalCloud) -> None:
    cloud.backend.gate.clear()
    status, answer = cloud.call("POST", "/servers", SERVER)
    assert status == 201
    assert answer["action"]["status"] == "running"
    assert [action["command"] for action in answer["next_actions"]] == ["start_server"]
    assert answer["root_password"] is None
    server = cloud.get("/servers")["servers"][0]
    assert (server["status"], server["locked"]) == ("initializing", True)

    cloud.backend.gate.set()
    cloud.settle()
    server = cloud.get("/servers")["servers"][0]
    assert (server["status"], server["locked"]) == ("running", False)
    assert cloud.get(f"/actions/{answer['action']['id']}")["action"]["status"] == "success"


def test_machine_is_what_was_asked_for(cloud: LocalCloud) -> None:
    cloud.do("/ssh_keys", {"name": "me", "public_key": PUBLIC_KEY})
    server = created(cloud, ssh_keys=["me"], user_data="#cloud-config\n")
    machine = cloud.backend.machines[server["id"]]
    assert (machine.name, machine.image, machine.cores, machine.memory_gb) == ("entry", "debian-13", 4, 8)
    assert machine.ipv4 == server["public_net"]["ipv4"]["ip"] == "10.77.0.10"
    assert machine.ssh_public_keys == (PUBLIC_KEY,)
    assert machine.user_data == "#cloud-config\n"


def test_server_may_stay_off_after_creation(cloud: LocalCloud) -> None:
    server = created(cloud, start_after_create=False)
    assert server["status"] == "off"
    assert cloud.backend.calls == ["create"]


def test_location_is_chosen_where_none_is_named(cloud: LocalCloud) -> None:
    answer = cloud.do("/servers", {"name": "g", "server_type": "gpu-l40s", "image": "debian-13"})
    assert answer["server"]["location"]["name"] == "hel1"
    assert "datacenter" not in answer["server"]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"name": None}, (422, "invalid_input")),
        ({"name": "not_a_hostname"}, (422, "invalid_input")),
        ({"name": "-x"}, (422, "invalid_input")),
        ({"name": "x" * 64}, (422, "invalid_input")),
        ({"server_type": "cx99"}, (404, "not_found")),
        ({"server_type": None}, (422, "invalid_input")),
        ({"server_type": "gpu-l40s"}, (422, "invalid_input")),
        ({"image": "windows-3.1"}, (404, "not_found")),
        ({"image": "debian-12"}, (404, "not_found")),
        ({"location": "moon"}, (404, "not_found")),
        ({"ssh_keys": ["nobody"]}, (404, "not_found")),
        ({"volumes": [4711]}, (404, "not_found")),
        ({"volumes": [None]}, (404, "not_found")),
        ({"firewalls": [{"firewall": 4711}]}, (404, "not_found")),
        ({"firewalls": [{}]}, (404, "not_found")),
        ({"public_net": {"ipv4": 4711}}, (404, "not_found")),
        ({"public_net": {"enable_ipv4": False}}, (422, "invalid_input")),
        ({"networks": [1]}, (422, "invalid_input")),
        ({"datacenter": "fsn1-dc14"}, (422, "invalid_input")),
        ({"automount": True}, (422, "invalid_input")),
        ({"labels": {"until": "12:00"}}, (422, "invalid_input")),
        ({"labels": {"until": 12}}, (422, "invalid_input")),
        ({"labels": []}, (422, "invalid_input")),
        ({"public_net": {"enable_ipv4": "no"}}, (422, "invalid_input")),
        ({"public_net": {"enable_ipv6": 1}}, (422, "invalid_input")),
        ({"public_net": {"ipv6": 4711}}, (422, "invalid_input")),
        ({"user_data": "x" * 32769}, (422, "invalid_input")),
        ({"user_data": "ü" * 16385}, (422, "invalid_input")),
        ({"start_after_create": "yes"}, (422, "invalid_input")),
    ],
)
def test_refused_server_leaves_nothing(cloud: LocalCloud, fields: dict[str, object], refusal: tuple[int, str]) -> None:
    assert cloud.refusal("POST", "/servers", {**SERVER, **fields}) == refusal
    assert not cloud.backend.calls


def test_user_data_may_have_32_kib(cloud: LocalCloud) -> None:
    server = created(cloud, user_data="ü" * 16384)
    assert len(cloud.backend.machines[server["id"]].user_data) == 16384


NOTHING: dict[str, object] = {
    **{"placement_group": None, "networks": [], "volumes": [], "ssh_keys": None, "firewalls": None},
    "location": "",
}


@pytest.mark.parametrize("user_data", ["", None])
@pytest.mark.parametrize("public_net", [None, {}, {"ipv4": None, "ipv6": None, "enable_ipv4": None}])
def test_what_clients_send_for_nothing_is_nothing(cloud: LocalCloud, user_data: str | None, public_net: object) -> None:
    server = created(cloud, **NOTHING, user_data=user_data, public_net=public_net, labels=None, automount=False)
    assert cloud.backend.machines[server["id"]].user_data == ""
    path = f"/servers/{server['id']}"
    cloud.do(path, {"name": None, "labels": None}, method="PUT")
    cloud.do(f"{path}/actions/rebuild", {"image": "debian-13", "user_data": user_data})
    cloud.do(f"{path}/actions/create_image", {"type": None, "description": None, "labels": None})


def test_an_empty_user_data_takes_the_old_away(cloud: LocalCloud) -> None:
    server = created(cloud, user_data="old")["id"]
    cloud.do(f"/servers/{server}/actions/rebuild", {"image": "debian-13", "user_data": ""})
    assert cloud.backend.machines[server].user_data == ""


@pytest.mark.parametrize("public_net", [{"enable_ipv4": True, "enable_ipv6": True}, {"enable_ipv6": False}, None])
def test_no_server_claims_to_have_ipv6(cloud: LocalCloud, public_net: object) -> None:
    has = created(cloud, public_net=public_net)["public_net"]
    assert has["ipv6"] is None
    assert has["ipv4"]["ip"] == "10.77.0.10"


def test_a_server_without_ipv4_is_refused_with_the_reason(cloud: LocalCloud) -> None:
    _, answer = cloud.call("POST", "/servers", {**SERVER, "public_net": {"enable_ipv4": False, "enable_ipv6": True}})
    assert answer["error"]["message"] == (
        "invalid input in field 'public_net.enable_ipv4': "
        "cannot be false: a server here has nothing else to be reached by"
    )


def test_refusal_names_the_field(cloud: LocalCloud) -> None:
    _, answer = cloud.call("POST", "/servers", {**SERVER, "labels": {"a:b": "c"}})
    assert [field["name"] for field in answer["error"]["details"]["fields"]] == ["labels"]


def test_names_are_unique_in_a_project_only(cloud: LocalCloud) -> None:
    created(cloud)
    assert cloud.refusal("POST", "/servers", SERVER) == (409, "uniqueness_error")
    cloud.do("/servers", SERVER, project="gpu")


def test_failed_creation_leaves_nothing(cloud: LocalCloud) -> None:
    cloud.backend.fails = {"create"}
    answer = cloud.do("/servers", SERVER)
    assert outcome(cloud, answer) == ("error", "create does not work today")
    next_action = cloud.get(f"/actions/{answer['next_actions'][0]['id']}")["action"]
    assert next_action["error"]["message"] == "create_server failed before it"
    assert cloud.get("/servers")["servers"] == cloud.get("/primary_ips")["primary_ips"] == []
    assert "start" not in cloud.backend.calls


def test_failed_start_is_reported_and_can_be_tried_again(cloud: LocalCloud) -> None:
    cloud.backend.fails = {"start"}
    answer = cloud.do("/servers", SERVER)
    server = cloud.get(f"/servers/{answer['server']['id']}")["server"]
    assert server["status"] == "off"
    cloud.backend.fails.clear()
    cloud.do(f"/servers/{server['id']}/actions/poweron")
    assert cloud.get(f"/servers/{server['id']}")["server"]["status"] == "running"


@pytest.mark.parametrize(
    ("action", "calls", "status"),
    [
        ("poweroff", ["pull"], "off"),
        ("shutdown", ["stop"], "off"),
        ("reboot", ["stop", "filter", "attach_volumes", "start"], "running"),
        ("reset", ["pull", "filter", "attach_volumes", "start"], "running"),
        ("poweron", ["filter", "attach_volumes", "start"], "running"),
    ],
)
def test_power(cloud: LocalCloud, action: str, calls: list[str], status: str) -> None:
    server = created(cloud)
    cloud.backend.calls.clear()
    assert outcome(cloud, cloud.do(f"/servers/{server['id']}/actions/{action}")) == ("success", None)
    assert cloud.backend.calls == calls
    assert cloud.get(f"/servers/{server['id']}")["server"]["status"] == status


def test_shutdown_is_the_press_of_a_button(cloud: LocalCloud) -> None:
    server = created(cloud)["id"]
    cloud.backend.deaf = {server}
    cloud.backend.calls.clear()
    assert outcome(cloud, cloud.do(f"/servers/{server}/actions/shutdown")) == ("success", None)
    assert cloud.backend.calls == ["stop"]
    assert cloud.get(f"/servers/{server}")["server"]["status"] == "running"
    cloud.backend.on.clear()  # it took its time
    assert cloud.get(f"/servers/{server}")["server"]["status"] == "off"
    cloud.backend.calls.clear()
    assert outcome(cloud, cloud.do(f"/servers/{server}/actions/shutdown")) == ("success", None)
    assert cloud.backend.calls == []


def test_status_is_what_the_machine_is(cloud: LocalCloud) -> None:
    server = created(cloud)
    cloud.backend.on.clear()  # somebody switched it off from inside
    assert cloud.get(f"/servers/{server['id']}")["server"]["status"] == "off"


def test_locked_server_refuses_further_actions(cloud: LocalCloud) -> None:
    server = created(cloud)
    cloud.backend.gate.clear()
    cloud.call("POST", f"/servers/{server['id']}/actions/reboot")
    assert cloud.refusal("POST", f"/servers/{server['id']}/actions/poweroff") == (423, "locked")
    assert cloud.refusal("DELETE", f"/servers/{server['id']}") == (423, "locked")
    cloud.backend.gate.set()


def test_rebuild_keeps_address_and_id(cloud: LocalCloud) -> None:
    before = created(cloud, user_data="old")
    cloud.do(f"/servers/{before['id']}/actions/rebuild", {"image": "debian-13", "user_data": "new"})
    after = cloud.get(f"/servers/{before['id']}")["server"]
    assert after == before
    assert cloud.backend.machines[before["id"]].user_data == "new"
    assert cloud.refusal("POST", f"/servers/{before['id']}/actions/rebuild", {"image": "dos"}) == (404, "not_found")


def test_delete_leaves_nothing(cloud: LocalCloud) -> None:
    server = created(cloud)
    answer = cloud.do(f"/servers/{server['id']}", method="DELETE")
    assert outcome(cloud, answer) == ("success", None)
    assert cloud.refusal("GET", f"/servers/{server['id']}") == (404, "not_found")
    assert not cloud.backend.machines
    assert not cloud.backend.rules
    assert cloud.get("/primary_ips")["primary_ips"] == []


def test_failed_delete_is_reported(cloud: LocalCloud) -> None:
    server = created(cloud)
    cloud.backend.fails = {"delete"}
    assert outcome(cloud, cloud.do(f"/servers/{server['id']}", method="DELETE"))[0] == "error"
    assert cloud.get("/servers")["servers"][0]["id"] == server["id"]


@pytest.mark.parametrize("trouble", ["", "delete", "delete_image"])
def test_many_are_deleted_at_once(cloud: LocalCloud, trouble: str) -> None:
    servers = [created(cloud, name=f"s{number}")["id"] for number in range(12)]
    images = [cloud.do(f"/servers/{each}/actions/create_image")["image"]["id"] for each in servers]
    cloud.backend.gate.clear()  # it is slow, and then has all of it to do
    answers = [cloud.call("DELETE", f"/servers/{each}") for each in servers]
    answers += [cloud.call("DELETE", f"/images/{each}") for each in images]
    assert [status for status, _ in answers] == [200] * 12 + [204] * 12
    assert cloud.get("/images?type=snapshot")["images"] == []
    cloud.backend.fails = {trouble}
    cloud.backend.gate.set()
    cloud.settle()
    failed = [each["error"]["code"] for each in cloud.get("/servers/actions?per_page=50")["actions"] if each["error"]]
    assert failed == ["action_failed"] * (12 if trouble == "delete" else 0)
    left = {each["id"] for each in cloud.get("/servers")["servers"]}
    assert left == set(cloud.backend.machines) == (set(servers) if trouble == "delete" else set())
    assert len(cloud.backend.snapshots) == (12 if trouble == "delete_image" else 0)


def test_protection(cloud: LocalCloud) -> None:
    path = f"/servers/{created(cloud)['id']}"
    assert cloud.refusal("POST", f"{path}/actions/change_protection", {"delete": True}) == (422, "invalid_input")
    cloud.do(f"{path}/actions/change_protection", {"delete": True, "rebuild": True})
    assert cloud.get(path)["server"]["protection"] == {"delete": True, "rebuild": True}
    assert cloud.refusal("DELETE", path) == (423, "protected")
    assert cloud.refusal("POST", f"{path}/actions/rebuild", {"image": "debian-13"}) == (423, "protected")


def test_update(cloud: LocalCloud) -> None:
    path = f"/servers/{created(cloud, labels={'a': 'b'})['id']}"
    cloud.do(path, {"name": "other"}, method="PUT")
    cloud.do(path, {"labels": {"c": "d"}}, method="PUT")
    server = cloud.get(path)["server"]
    assert (server["name"], server["labels"]) == ("other", {"c": "d"})
    cloud.do("/servers", {**SERVER, "name": "third"})
    assert cloud.refusal("PUT", path, {"name": "third"}) == (409, "uniqueness_error")


def test_a_snapshot_without_description_is_called_like_its_server(cloud: LocalCloud) -> None:
    server = created(cloud)
    answer = cloud.do(f"/servers/{server['id']}/actions/create_image", {"type": "snapshot", "description": ""})
    assert answer["image"]["description"] == server["name"]
    path = f"/images/{answer['image']['id']}"
    assert cloud.do(path, {"description": ""}, method="PUT")["image"]["description"] == ""


def test_server_from_snapshot(cloud: LocalCloud) -> None:
    server = created(cloud)
    answer = cloud.do(f"/servers/{server['id']}/actions/create_image", {"description": "golden", "labels": {"a": "b"}})
    image = cloud.get(f"/images/{answer['image']['id']}")["image"]
    assert (image["status"], image["image_size"], image["description"]) == ("available", 1.5, "golden")
    assert [each["id"] for each in cloud.get("/images?type=snapshot&label_selector=a")["images"]] == [image["id"]]

    second = cloud.do("/servers", {**SERVER, "name": "second", "image": image["id"]})["server"]
    assert cloud.backend.machines[second["id"]].image == f"snapshot-{image['id']}"
    assert cloud.refusal("POST", "/servers", {**SERVER, "name": "x", "image": str(image["id"])}, project="gpu") == (
        404,
        "not_found",
    )

    cloud.do(f"/images/{image['id']}/actions/change_protection", {"delete": True})
    assert cloud.refusal("DELETE", f"/images/{image['id']}") == (423, "protected")
    cloud.do(f"/images/{image['id']}/actions/change_protection", {"delete": False})
    cloud.backend.gate.clear()
    assert cloud.call("DELETE", f"/images/{image['id']}")[0] == 204
    assert cloud.refusal("GET", f"/images/{image['id']}") == (404, "not_found")
    cloud.backend.gate.set()
    cloud.settle()
    assert not cloud.backend.snapshots
    assert cloud.get(f"/servers/{second['id']}")["server"]["image"] is None


def test_a_snapshot_is_no_image_to_boot_from_before_it_is_complete(cloud: LocalCloud) -> None:
    server = created(cloud)
    cloud.backend.gate.clear()
    _, answer = cloud.call("POST", f"/servers/{server['id']}/actions/create_image", {"labels": {"a": "b"}})
    path = f"/images/{answer['image']['id']}"
    assert cloud.get(path)["image"]["status"] == "creating"
    assert cloud.get("/images?type=snapshot&status=available")["images"] == []
    assert len(cloud.get("/images?type=snapshot&status=creating&label_selector=a")["images"]) == 1
    assert cloud.refusal("POST", "/servers", {**SERVER, "name": "x", "image": answer["image"]["id"]})[0] == 404
    assert cloud.refusal("DELETE", path) == (423, "locked")
    cloud.backend.gate.set()
    cloud.settle()
    assert cloud.get("/images?type=snapshot&status=available")["images"][0]["image_size"] == 1.5


def test_failed_snapshot_leaves_no_image(cloud: LocalCloud) -> None:
    server = created(cloud)
    cloud.backend.fails = {"snapshot"}
    answer = cloud.do(f"/servers/{server['id']}/actions/create_image")
    assert outcome(cloud, answer)[0] == "error"
    assert cloud.get("/images?type=snapshot")["images"] == []


@pytest.mark.parametrize("work", ["create", "snapshot", "create_volume"])
def test_a_full_disk_fails_the_action_and_leaves_nothing(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    server = created(cloud)["id"]
    monkeypatch.setattr(cloud.backend, work, full)
    path, body = {
        "create": ("/servers", {**SERVER, "name": "second"}),
        "snapshot": (f"/servers/{server}/actions/create_image", {}),
        "create_volume": ("/volumes", {"name": "v", "size": 10, "location": "fsn1"}),
    }[work]
    answer = cloud.do(path, body)
    assert outcome(cloud, answer) == ("error", "[Errno 28] No space left on device")
    assert len(cloud.store.state.servers) == 1
    assert not cloud.store.state.images
    assert not cloud.store.state.volumes


def test_actions_of_one_server(cloud: LocalCloud) -> None:
    server = created(cloud)
    path = f"/servers/{server['id']}/actions"
    actions = cloud.get(path)["actions"]
    assert [action["command"] for action in actions] == ["create_server", "start_server"]
    ids = "&".join(f"id={action['id']}" for action in actions)
    assert cloud.get(f"/actions?{ids}")["actions"] == actions == cloud.get("/servers/actions")["actions"]
    assert cloud.get(f"{path}/{actions[0]['id']}")["action"] == actions[0]
    assert cloud.get("/volumes/actions")["actions"] == []
    assert cloud.refusal("GET", f"/actions/{actions[0]['id']}", project="gpu") == (404, "not_found")
