"""Volumes through the API: their life apart from servers, and what servers are shown of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud_in_memory import LocalCloud

VOLUME = {"name": "data", "size": 10, "location": "fsn1", "format": "ext4"}
SERVER = {"name": "s", "server_type": "cx23", "image": "debian-13", "location": "fsn1"}


def volume(cloud: LocalCloud, **fields: object) -> Any:
    id_ = cloud.do("/volumes", {**VOLUME, **fields})["volume"]["id"]
    return cloud.get(f"/volumes/{id_}")["volume"]


def server(cloud: LocalCloud, **fields: object) -> Any:
    return cloud.do("/servers", {**SERVER, **fields})["server"]["id"]


def test_create(cloud: LocalCloud) -> None:
    made = volume(cloud)
    assert made["linux_device"] == f"/dev/disk/by-id/scsi-0HC_Volume_{made['id']}"
    assert (made["status"], made["server"], made["format"]) == ("available", None, "ext4")
    assert cloud.backend.volumes == {made["id"]: 10}
    assert cloud.backend.calls == ["create_volume ext4"]


def test_what_clients_send_for_nothing_is_nothing(cloud: LocalCloud) -> None:
    made = volume(cloud, format="", server=None, automount=None, labels=None)
    assert made["format"] is None
    host = server(cloud)
    assert (
        cloud.do("/volumes", {"name": "more", "size": 10, "location": "", "server": host})["volume"]["name"] == "more"
    )


def test_create_for_a_server(cloud: LocalCloud) -> None:
    host = server(cloud)
    answer = cloud.do("/volumes", {"name": "data", "size": 10, "server": host})
    assert [action["command"] for action in answer["next_actions"]] == ["attach_volume"]
    assert cloud.get("/volumes")["volumes"][0]["server"] == host
    assert cloud.backend.shown[host] == (answer["volume"]["id"],)


def test_server_with_volumes(cloud: LocalCloud) -> None:
    first, second = volume(cloud)["id"], volume(cloud, name="more")["id"]
    host = server(cloud, volumes=[first, second])
    assert cloud.get(f"/servers/{host}")["server"]["volumes"] == [first, second]
    assert cloud.backend.shown[host] == (first, second)
    assert cloud.refusal("POST", "/servers", {**SERVER, "name": "t", "volumes": [first]}) == (
        422,
        "volume_already_attached",
    )


def test_volume_draws_its_server_to_its_location(cloud: LocalCloud) -> None:
    made = volume(cloud, location="hel1")
    assert cloud.refusal("POST", "/servers", {**SERVER, "volumes": [made["id"]]}) == (422, "invalid_input")
    host = server(cloud, location=None, volumes=[made["id"]])
    assert cloud.get(f"/servers/{host}")["server"]["location"]["name"] == "hel1"


def test_attach_and_detach(cloud: LocalCloud) -> None:
    path = f"/volumes/{volume(cloud)['id']}"
    host = server(cloud)
    cloud.do(f"{path}/actions/attach", {"server": host, "automount": False})
    assert cloud.get(path)["volume"]["server"] == host
    assert len(cloud.backend.shown[host]) == 1
    assert cloud.refusal("POST", f"{path}/actions/attach", {"server": host}) == (422, "volume_already_attached")
    assert cloud.refusal("DELETE", path) == (422, "service_error")
    cloud.do(f"{path}/actions/detach")
    assert cloud.get(path)["volume"]["server"] is None
    assert cloud.backend.shown[host] == ()
    assert cloud.refusal("POST", f"{path}/actions/detach") == (422, "volume_not_attached")
    elsewhere = server(cloud, name="t", location="hel1")
    assert cloud.refusal("POST", f"{path}/actions/attach", {"server": elsewhere}) == (422, "invalid_input")


@pytest.mark.parametrize("action", ["attach", "detach"])
def test_what_fails_changes_nothing(cloud: LocalCloud, action: str) -> None:
    host = server(cloud)
    made = volume(cloud, **({} if action == "attach" else {"location": None, "server": host}))
    cloud.backend.fails = {"attach_volumes"}
    answer = cloud.do(f"/volumes/{made['id']}/actions/{action}", {"server": host})
    assert cloud.get(f"/actions/{answer['action']['id']}")["action"]["status"] == "error"
    assert cloud.get(f"/volumes/{made['id']}")["volume"] == made


def test_volume_outlives_its_server(cloud: LocalCloud) -> None:
    made = volume(cloud)["id"]
    host = server(cloud, volumes=[made])
    cloud.do(f"/servers/{host}", method="DELETE")
    assert cloud.get(f"/volumes/{made}")["volume"]["server"] is None
    assert made in cloud.backend.volumes
    assert server(cloud, volumes=[made])


def test_resize(cloud: LocalCloud) -> None:
    path = f"/volumes/{volume(cloud)['id']}"
    cloud.do(f"{path}/actions/resize", {"size": 20})
    assert cloud.get(path)["volume"]["size"] == 20
    assert list(cloud.backend.volumes.values()) == [20]
    assert cloud.refusal("POST", f"{path}/actions/resize", {"size": 20}) == (422, "invalid_input")
    cloud.backend.fails = {"resize_volume"}
    cloud.do(f"{path}/actions/resize", {"size": 30})
    assert cloud.get(path)["volume"]["size"] == 20


def test_protection_and_delete(cloud: LocalCloud) -> None:
    path = f"/volumes/{volume(cloud)['id']}"
    cloud.do(f"{path}/actions/change_protection", {"delete": True})
    assert cloud.refusal("DELETE", path) == (423, "protected")
    cloud.do(f"{path}/actions/change_protection", {"delete": False})
    cloud.do(path, method="DELETE")
    assert not cloud.backend.volumes


def test_failed_creation_leaves_nothing(cloud: LocalCloud) -> None:
    cloud.backend.fails = {"create_volume ext4"}
    cloud.do("/volumes", VOLUME)
    assert cloud.get("/volumes")["volumes"] == []


def test_update(cloud: LocalCloud) -> None:
    path = f"/volumes/{volume(cloud)['id']}"
    cloud.do(path, {"name": "other", "labels": {"a": "b"}}, method="PUT")
    assert cloud.get(path)["volume"]["labels"] == {"a": "b"}
    cloud.do("/volumes", VOLUME)
    assert cloud.refusal("PUT", path, {"name": "data"}) == (409, "uniqueness_error")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"name": "-"}, (422, "invalid_input")),
        ({"size": 9}, (422, "invalid_input")),
        ({"size": 10241}, (422, "invalid_input")),
        ({"size": "10"}, (422, "invalid_input")),
        ({"size": True}, (422, "invalid_input")),
        ({"format": "btrfs"}, (422, "invalid_input")),
        ({"automount": True}, (422, "invalid_input")),
        ({"location": None}, (422, "invalid_input")),
        ({"location": "moon"}, (404, "not_found")),
        ({"location": None, "server": 4711}, (404, "not_found")),
    ],
)
def test_refused_volume_leaves_nothing(cloud: LocalCloud, fields: dict[str, object], refusal: tuple[int, str]) -> None:
    assert cloud.refusal("POST", "/volumes", {**VOLUME, **fields}) == refusal
