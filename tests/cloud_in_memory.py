"""The local cloud without machines: a backend in memory, and the API over it with and without a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from localcloud.api.app import create_app
from localcloud.api.rate_limit import RateLimits
from localcloud.core.backend import BackendError, Machine, Rule
from localcloud.core.store import Store
from localcloud.machine.listener import listen

TOKENS = {"e" * 64: "entry", "g" * 64: "gpu"}  # short ones would make `no_log` mask every letter
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test@localhost"


class MemoryBackend:
    """Does what it is told, remembers it, and fails at what `fails` names."""

    def __init__(self) -> None:
        self.machines: dict[int, Machine] = {}
        self.on: set[int] = set()
        self.deaf: set[int] = set()  # machines that take no notice of their power button
        self.off_by_itself: set[int] = set()  # machines that switched themselves off
        self.snapshots: set[str] = set()
        self.volumes: dict[int, int] = {}
        self.shown: dict[int, tuple[int, ...]] = {}  # volumes by machine
        self.rules: Mapping[str, Sequence[Rule] | None] = {}
        self.calls: list[str] = []
        self.fails: set[str] = set()
        self.gate = threading.Event()  # clear it to hold the work up
        self.gate.set()

    def _called(self, name: str) -> None:
        assert self.gate.wait(10)
        self.calls.append(name)
        if name in self.fails:
            raise BackendError(f"{name} does not work today")

    def images(self) -> Sequence[str]:
        return ["debian-13", *sorted(self.snapshots)]

    def create(self, machine: Machine) -> None:
        self._called("create")
        self.machines[machine.id] = machine

    def start(self, machine: Machine) -> None:
        self._called("start")
        if machine.id not in self.machines:
            raise BackendError(f"there is no machine {machine.id}")
        self.on.add(machine.id)
        self.off_by_itself.discard(machine.id)

    def stop(self, machine: Machine, *, force: bool) -> None:
        self._called("pull" if force else "stop")
        self.on.discard(machine.id)

    def shutdown(self, machine: Machine) -> None:
        self._called("stop")  # in order, as those that wait for it
        if machine.id in self.on - self.deaf:
            self.on.discard(machine.id)
            self.off_by_itself.add(machine.id)

    def powered_off(self, machine_id: int) -> bool:
        return machine_id in self.off_by_itself

    def delete(self, machine: Machine) -> None:
        self._called("delete")
        self.on.discard(machine.id)
        self.machines.pop(machine.id, None)
        self.shown.pop(machine.id, None)

    def running(self) -> frozenset[int]:
        return frozenset(self.on)

    def snapshot(self, machine: Machine, image: str) -> int:
        self._called("snapshot")
        assert machine.id in self.machines
        self.snapshots.add(image)
        return 1_500_000_000

    def delete_image(self, image: str) -> None:
        self._called("delete_image")
        self.snapshots.discard(image)

    def create_volume(self, volume_id: int, size_gb: int, filesystem: str | None) -> None:
        self._called(f"create_volume {filesystem}")
        self.volumes[volume_id] = size_gb

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        self._called("resize_volume")
        self.volumes[volume_id] = size_gb

    def delete_volume(self, volume_id: int) -> None:
        self._called("delete_volume")
        self.volumes.pop(volume_id, None)

    def attach_volumes(self, machine: Machine, volume_ids: Sequence[int]) -> None:
        self._called("attach_volumes")
        if machine.id not in self.machines or not self.volumes.keys() >= set(volume_ids):
            raise BackendError(f"cannot show volumes {volume_ids} to machine {machine.id}")
        self.shown[machine.id] = tuple(volume_ids)

    def filter(self, rules: Mapping[str, Sequence[Rule] | None]) -> None:
        self._called("filter")
        self.rules = dict(rules)


class LocalCloud:
    """The API over a backend in memory, called without a network."""

    def __init__(self, directory: Path, backend: MemoryBackend, rates: RateLimits | None = None) -> None:
        self.backend = backend
        self.store = Store(directory)
        self.client = TestClient(create_app(self.store, backend, TOKENS, rates), raise_server_exceptions=False)

    def call(self, method: str, path: str, body: object = None, *, project: str = "entry") -> tuple[int, Any]:
        """Make one call; returns the status and the body."""
        token = next(token for token, owner in TOKENS.items() if owner == project)
        answer = self.client.request(method, f"/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.json() if answer.content else None

    def get(self, path: str, *, project: str = "entry") -> Any:
        """Get what is there."""
        status, body = self.call("GET", path, project=project)
        assert status == 200, body
        return body

    def do(self, path: str, body: object = None, *, method: str = "POST", project: str = "entry") -> Any:
        """Make a call that is granted, and wait until its work is done, for better or worse."""
        status, answer = self.call(method, path, {} if body is None else body, project=project)
        assert 200 <= status < 300, answer
        self.settle()
        return answer

    def refusal(self, method: str, path: str, body: object = None, *, project: str = "entry") -> tuple[int, str]:
        """Make a call that is refused, and leaves everything as it was; returns status and code."""
        before = self.store.state
        status, answer = self.call(method, path, body, project=project)
        assert answer.keys() == {"error"}, answer
        assert answer["error"].keys() == {"code", "message", "details"}
        assert self.store.state == before
        return status, answer["error"]["code"]

    def settle(self) -> None:
        """Wait until no action runs."""
        deadline = time.monotonic() + 10
        while any(action.status == "running" for action in self.store.state.actions.values()):
            assert time.monotonic() < deadline, "actions do not end"
            time.sleep(0.001)


@dataclass(frozen=True, slots=True)
class Served:
    """A local cloud over machines in memory that real clients can reach."""

    endpoint: str
    backend: MemoryBackend

    @property
    def environment(self) -> dict[str, str]:
        """What every official client reads: where the API is, and the token of the project `entry`."""
        return {"HCLOUD_ENDPOINT": self.endpoint, "HCLOUD_TOKEN": next(iter(TOKENS))}


@contextmanager
def serving(directory: Path) -> Iterator[Served]:
    """Serve a local cloud on a free port of the loopback."""
    backend = MemoryBackend()
    with listening(create_app(Store(directory), backend, TOKENS)) as origin:
        yield Served(f"{origin}/v1", backend)


@contextmanager
def listening(app: ASGIApp, address: str = "127.0.0.1") -> Iterator[str]:
    """Serve an app on a free port of the address; yields its URL."""
    listener = listen(address, 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()  # the listener accepts already: who connects before the app is up only waits
    try:
        yield f"http://{address}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
