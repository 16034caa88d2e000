"""After a crash: whatever was wanted is brought about again, whatever cannot be is reported."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.core.backend import Backend
from localcloud.core.commands import packet_filter
from tests.cloud_in_memory import LocalCloud, MemoryBackend

SERVER = {"name": "s", "server_type": "cx23", "image": "debian-13", "location": "fsn1"}

# What of the backend outlives the program.
MACHINES = ("machines", "on", "deaf", "off_by_itself", "snapshots", "volumes", "shown", "rules")
QUESTIONS = ("images", "running", "powered_off")
WORK = [name for name in vars(Backend) if not name.startswith("_") and name not in QUESTIONS]

type Restart = Callable[[LocalCloud], LocalCloud]


def resumed(directory: Path, state: str, machines: MemoryBackend) -> LocalCloud:
    """Start the program from what the disk held when it died, over the machines of that moment, and let it settle."""
    directory.mkdir()
    (directory / "state.json").write_text(state)
    backend = MemoryBackend()
    for name in MACHINES:
        setattr(backend, name, copy.copy(getattr(machines, name)))
    cloud = LocalCloud(directory, backend)
    with cloud.client:
        cloud.settle()
    return cloud  # its threads have ended: nothing happens any more


@pytest.fixture
def restarted(tmp_path: Path) -> Restart:
    """Let the program die now and start again."""
    return lambda cloud: resumed(tmp_path / "after", (tmp_path / "state.json").read_text(), cloud.backend)


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


def test_what_was_shut_down_stays_off(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    cloud.do(f"/servers/{server}/actions/shutdown")
    after = restarted(cloud)
    assert after.backend.on == set()
    assert after.store.state.servers[server].wanted == "off"


def test_what_ignored_its_shutdown_is_not_killed(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    cloud.backend.deaf = {server}
    cloud.do(f"/servers/{server}/actions/shutdown")
    assert restarted(cloud).backend.on == {server}


@pytest.mark.parametrize("deaf", [False, True])
def test_cut_off_shutdown_is_sent_again(cloud: LocalCloud, restarted: Restart, deaf: bool) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    cloud.backend.deaf = {server} if deaf else set()
    answer = interrupted(cloud, f"/servers/{server}/actions/shutdown")
    after = restarted(cloud)
    assert after.store.state.actions[answer["action"]["id"]].status == "success"
    assert after.backend.calls.count("stop") == 1
    assert after.backend.on == ({server} if deaf else set())


def test_what_was_going_down_with_the_host_stays_off(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    interrupted(cloud, f"/servers/{server}/actions/shutdown")
    cloud.backend.on.clear()
    after = restarted(cloud)
    assert after.backend.on == set()
    assert after.store.state.servers[server].wanted == "off"


def test_an_image_whose_deletion_failed_goes_at_the_next_start(cloud: LocalCloud, restarted: Restart) -> None:
    server = cloud.do("/servers", SERVER)["server"]["id"]
    gone, kept = (cloud.do(f"/servers/{server}/actions/create_image")["image"]["id"] for _ in range(2))
    cloud.backend.fails = {"delete_image"}
    cloud.do(f"/images/{gone}", method="DELETE")
    assert len(cloud.backend.snapshots) == 2
    assert restarted(cloud).backend.snapshots == {f"snapshot-{kept}"}


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


class Dying(MemoryBackend):
    """Notes what the disk and the machines are like just before and just after each thing it does."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.moments: list[tuple[str, str, MemoryBackend]] = []
        self._state = state
        for name in WORK:
            setattr(self, name, self._noted(name, getattr(self, name)))

    def _noted(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            self.note(f"before {name}")
            result = work(*arguments, **options)
            self.note(f"after {name}")
            return result

        return noted

    def note(self, moment: str) -> None:
        machines = MemoryBackend()
        for name in MACHINES:
            setattr(machines, name, copy.copy(getattr(self, name)))
        self.moments.append((moment, self._state.read_text() if self._state.exists() else "{}", machines))


def test_whenever_it_dies_everything_comes_true(tmp_path: Path) -> None:
    backend = Dying(tmp_path / "state.json")
    cloud = LocalCloud(tmp_path, backend)

    def step(path: str, body: object = None, *, method: str = "POST") -> Any:
        answer = cloud.do(path, body, method=method)
        backend.note(f"after {method} {path}")
        return answer

    with cloud.client:
        volume = step("/volumes", {"name": "v", "size": 10, "location": "fsn1"})["volume"]["id"]
        firewall = step("/firewalls", {"name": "f"})["firewall"]["id"]
        body = {**SERVER, "volumes": [volume], "firewalls": [{"firewall": firewall}]}
        server = step("/servers", body)["server"]["id"]
        step(f"/servers/{server}/actions/reboot")
        image = step(f"/servers/{server}/actions/create_image")["image"]["id"]
        step(f"/servers/{server}/actions/rebuild", {"image": image})
        step(f"/servers/{server}/actions/shutdown")
        step(f"/volumes/{volume}/actions/detach")
        step(f"/volumes/{volume}/actions/resize", {"size": 11})
        step(f"/servers/{server}", method="DELETE")
        step(f"/volumes/{volume}", method="DELETE")
        step(f"/images/{image}", method="DELETE")

    assert len(backend.moments) > 60
    for number, (moment, state, machines) in enumerate(backend.moments):
        after = resumed(tmp_path / str(number), state, machines)
        wanted, real = after.store.state, after.backend
        assert {action.status for action in wanted.actions.values()} <= {"success"}, moment
        assert real.on == {each.id for each in wanted.servers.values() if each.wanted == "running"}, moment
        assert real.machines == {each.id: wanted.machine(each) for each in wanted.servers.values()}, moment
        assert real.volumes == {each.id: each.size for each in wanted.volumes.values()}, moment
        assert real.snapshots == {f"snapshot-{id_}" for id_ in wanted.images}, moment
        assert real.rules == packet_filter(wanted), moment
        for id_ in real.on:
            assert list(real.shown[id_]) == wanted.volumes_of(id_), moment
