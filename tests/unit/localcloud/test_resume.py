"""After a crash: whatever was wanted is brought about again, whatever cannot be is reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing import LocalCloud, MemoryBackend

SERVER = {"name": "s", "server_type": "cx23", "image": "debian-13", "location": "fsn1"}

type Restart = Callable[[LocalCloud], LocalCloud]


@pytest.fixture
def restarted(tmp_path: Path) -> Restart:
    """Start the program again from what the disk held at this moment, over the same machines."""

    def restart(crashed: LocalCloud) -> LocalCloud:
        directory = tmp_path / "after"
        directory.mkdir()
        shutil.copy(tmp_path / "state.json", directory)
        backend = MemoryBackend()
        backend.__dict__.update({**crashed.backend.__dict__, "gate": backend.gate, "fails": set(), "calls": []})
        cloud = LocalCloud(directory, backend)
        with cloud.client:
            cloud.settle()
        return cloud  # its threads have ended: nothing happens any more

    return restart


def interrupted(cloud: LocalCloud, path: str, body: object = None, *, method: str = "POST") -> Any:
    """Make a call whose work does not get to its end before the crash."""
    cloud.backend.gate.clear()
    status, answer = cloud.call(method, path, body or {})
    assert 200 <= status < 300
    return answer


def test_host_reboot_starts_what_shall_run(cloud: LocalCloud, restarted: Restart) -> None:
    on = cloud.do("/servers", SERVER)["server"]["id"]
    cloud.do("/servers", {**SERVER, "name": "off", "start_after_create": False})
    volume = cloud.do("/volumes", {"name": "v", "size": 10, "server": on})["volume"]["id"]
    cloud.do("/firewalls", {"name": "f", "apply_to": [{"type": "server", "server": {"id": on}}]})
    cloud.backend.on.clear()
    cloud.backend.shown.clear()
    cloud.backend.rules = {}

    after = restarted(cloud)
    assert after.backend.on == {on}
    assert after.backend.shown == {on: (volume,)}
    assert after.backend.rules == {"10.77.0.10": [], "10.77.0.11": None}
    assert after.backend.calls.index("filter") < after.backend.calls.index("start")


def test_server_wanted_off_is_stopped(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    cloud.do(f"/servers/{server}/actions/poweroff")
    cloud.backend.on.add(server)
    assert restarted(cloud).backend.on == set()


def test_cut_off_creation_is_finished(cloud: LocalCloud, restarted: Restart) -> None:
    answer = interrupted(cloud, "/servers", SERVER)
    after = restarted(cloud)
    assert after.backend.on == {answer["server"]["id"]}
    for action in (answer["action"], *answer["next_actions"]):
        assert after.store.state.actions[action["id"]].status == "success"


def test_cut_off_deletion_is_finished(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    interrupted(cloud, f"/servers/{server}", method="DELETE")
    after = restarted(cloud)
    assert not after.backend.machines
    assert not after.store.state.servers


@pytest.mark.parametrize("action", ["reboot", "rebuild", "reset"])
def test_cut_off_restart_is_finished(cloud: LocalCloud, restarted: Restart, action: str) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    answer = interrupted(cloud, f"/servers/{server}/actions/{action}", {"image": "debian-13"})
    after = restarted(cloud)
    assert after.backend.on == {server}
    assert after.store.state.actions[answer["action"]["id"]].status == "success"


def test_cut_off_snapshot_is_finished_before_the_server_starts_again(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    answer = interrupted(cloud, f"/servers/{server}/actions/create_image")
    cloud.backend.on.clear()
    after = restarted(cloud)
    assert after.backend.snapshots == {f"snapshot-{answer['image']['id']}"}
    assert after.store.state.images[answer["image"]["id"]].size_bytes == 1_500_000_000
    assert after.backend.on == {server}


def test_cut_off_volume_work_is_finished(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    kept = cloud.do("/volumes", {"name": "kept", "size": 10, "server": server})["volume"]["id"]
    new = interrupted(cloud, "/volumes", {"name": "new", "size": 11, "server": server})["volume"]["id"]
    after = restarted(cloud)
    assert after.backend.volumes == {kept: 10, new: 11}
    assert after.backend.shown == {server: (kept, new)}


def test_what_cannot_be_finished_fails_honestly(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    answer = interrupted(cloud, f"/servers/{server}/actions/reboot")
    cloud.backend.machines.clear()  # the disk is gone
    after = restarted(cloud)
    assert after.store.state.actions[answer["action"]["id"]].status == "error"
    assert after.backend.on == set()


def test_no_action_is_left_running_for_ever(cloud: LocalCloud, restarted: Restart) -> None:
    interrupted(cloud, "/servers", SERVER)
    after = restarted(cloud)
    assert {action.status for action in after.store.state.actions.values()} == {"success"}
