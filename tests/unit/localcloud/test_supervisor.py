"""What the supervisor does about machines that changed their own power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.machine import registry, s3
from localcloud.supervisor import Supervisor
from tests.cloud_in_memory import LocalCloud, MemoryBackend


class SelfWilledBackend(MemoryBackend):
    """Machines that may switch themselves off."""

    def __init__(self) -> None:
        super().__init__()
        self.self_powered_off: set[int] = set()

    def powered_off(self, machine_id: int) -> bool:
        return machine_id in self.self_powered_off


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalCloud, SelfWilledBackend, Any]]:
    """A cloud with one running server, and its supervisor's look."""
    monkeypatch.setattr(registry, "runs", lambda: True)
    monkeypatch.setattr(s3, "runs", lambda: True)
    backend = SelfWilledBackend()
    cloud = LocalCloud(tmp_path, backend)
    with cloud.client:
        cloud.do("/servers", {"name": "web", "server_type": "cx23", "image": "debian-13"})
        supervisor = Supervisor(cloud.store, backend, cloud.client.app.state.actions)  # type: ignore[attr-defined,arg-type]
        yield cloud, backend, supervisor.look


def test_a_machine_that_rebooted_itself_is_started_again(watched: tuple[LocalCloud, SelfWilledBackend, Any]) -> None:
    cloud, backend, look = watched
    (server,) = backend.on
    backend.on.clear()
    look()
    cloud.settle()
    assert backend.on == {server}


def test_a_machine_that_switched_itself_off_stays_off(watched: tuple[LocalCloud, SelfWilledBackend, Any]) -> None:
    cloud, backend, look = watched
    backend.self_powered_off, backend.on = set(backend.on), set()
    look()
    cloud.settle()
    assert backend.on == set()
    assert cloud.get("/servers")["servers"][0]["status"] == "off"
    assert {server.wanted for server in cloud.store.state.servers.values()} == {"off"}


def test_a_machine_that_was_shut_down_stays_off(watched: tuple[LocalCloud, SelfWilledBackend, Any]) -> None:
    cloud, backend, look = watched
    (server,) = backend.on
    cloud.do(f"/servers/{server}/actions/shutdown")
    backend.self_powered_off = {server}
    look()
    cloud.settle()
    assert backend.on == set()
    cloud.do(f"/servers/{server}/actions/poweron")
    look()
    assert backend.on == {server}


def test_a_machine_that_was_not_shut_down_in_the_end_is_watched_on(
    watched: tuple[LocalCloud, SelfWilledBackend, Any],
) -> None:
    cloud, backend, look = watched
    (server,) = backend.deaf = set(backend.on)
    cloud.do(f"/servers/{server}/actions/shutdown")
    look()
    backend.on.clear()  # it reboots instead
    look()
    cloud.settle()
    assert backend.on == {server}


def test_a_start_that_fails_is_not_tried_at_every_look(watched: tuple[LocalCloud, SelfWilledBackend, Any]) -> None:
    cloud, backend, look = watched
    backend.on.clear()
    backend.fails.add("start")
    backend.calls.clear()
    for _ in range(3):
        look()
        cloud.settle()
    assert backend.calls.count("start") == 1


@pytest.mark.parametrize("service", [registry, s3])
def test_a_service_that_does_not_run_is_started_and_not_at_every_look(
    watched: tuple[LocalCloud, SelfWilledBackend, Any], service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(service, "runs", lambda: False)
    monkeypatch.setattr(service, "start", lambda: started.append(service.NAME))
    for _ in range(3):
        watched[2]()
    assert started == [service.NAME]


def test_a_server_under_work_is_left_alone(watched: tuple[LocalCloud, SelfWilledBackend, Any]) -> None:
    cloud, backend, look = watched
    backend.gate.clear()
    cloud.call("POST", f"/servers/{next(iter(backend.on))}/actions/reboot", {})
    backend.on.clear()
    actions = len(cloud.store.state.actions)
    look()
    assert len(cloud.store.state.actions) == actions
    backend.gate.set()
    cloud.settle()
