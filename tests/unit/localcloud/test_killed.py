"""A program that is killed again and again in the middle of its work: whatever it granted is there afterwards.

A simple model of the API says what may be asked and what comes of it. What was asked when the program died may have
come true or not; all that was answered before must have.
"""

from __future__ import annotations

import copy
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.core.actions import Actions
from localcloud.core.backend import Backend
from localcloud.core.commands import packet_filter
from tests.cloud_in_memory import LocalCloud, MemoryBackend

LIVES = 50
CALLS = 8  # of a life that is not cut off before
MACHINES = ("machines", "on", "off_by_itself", "snapshots", "volumes", "shown", "rules")
QUESTIONS = ("images", "running", "powered_off")


@dataclass(frozen=True)
class Model:
    """What there is, by name."""

    servers: dict[str, bool] = field(default_factory=dict)  # whether it is on
    volumes: dict[str, tuple[int, str | None]] = field(default_factory=dict)  # size and server
    images: frozenset[str] = frozenset()
    firewalls: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)  # port and servers

    @classmethod
    def of(cls, cloud: LocalCloud) -> Model:
        """What the API says."""
        servers = {each["id"]: each for each in cloud.get("/servers?per_page=50")["servers"]}
        name = {id_: each["name"] for id_, each in servers.items()}
        return cls(
            {name[id_]: {"running": True, "off": False}[each["status"]] for id_, each in servers.items()},
            {
                each["name"]: (each["size"], name[each["server"]] if each["server"] else None)
                for each in cloud.get("/volumes?per_page=50")["volumes"]
            },
            frozenset(each["description"] for each in cloud.get("/images?type=snapshot&per_page=50")["images"]),
            {
                each["name"]: (
                    each["rules"][0]["port"],
                    frozenset(name[target["server"]["id"]] for target in each["applied_to"]),
                )
                for each in cloud.get("/firewalls?per_page=50")["firewalls"]
            },
        )


class Mortal(MemoryBackend):
    """Notes what the disk and the machines are like at one moment: before or after one of its calls."""

    def __init__(self, directory: Path, before: MemoryBackend | None, calls: int) -> None:
        super().__init__()
        if before:
            vars(self).update(tables(before))
        self._state = directory / "state.json"
        self._lock = threading.Lock()
        self._left = calls
        self.moment: tuple[str, MemoryBackend] | None = None
        for name in vars(Backend):
            if not name.startswith("_") and name not in QUESTIONS:
                setattr(self, name, self._mortal(getattr(self, name)))

    def _mortal(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    self.die()
                result = work(*arguments, **options)
                if self._left == 1:
                    self._left = 0
                    self.die()
                return result

        return mortal

    def die(self) -> None:
        machines = MemoryBackend()
        vars(machines).update(tables(self))
        self.moment = self._state.read_text() if self._state.exists() else "{}", machines


def tables(backend: MemoryBackend) -> dict[str, Any]:
    return {name: copy.copy(getattr(backend, name)) for name in MACHINES}


@dataclass(frozen=True)
class Call:
    """What is asked of the API, and what there is afterwards; None where it has to be refused."""

    method: str
    path: str
    body: dict[str, Any]
    after: Model | None


def rule(port: str) -> dict[str, Any]:
    return {"direction": "in", "protocol": "tcp", "port": port, "source_ips": ["0.0.0.0/0"]}


def any_call(dice: random.Random, model: Model, cloud: LocalCloud) -> Call:
    """One of all calls, most of which are granted."""
    state = cloud.store.state
    make = dice.choice([about_servers, about_volumes, about_images, about_firewalls])
    ids = {
        kind: {each.name: each.id for each in table.values()}
        for kind, table in (
            *(("servers", state.servers), ("volumes", state.volumes)),
            *(("images", state.images), ("firewalls", state.firewalls)),
        )
    }
    return make(dice, model, ids)


type Ids = dict[str, dict[str, int]]


def pick(dice: random.Random, names: Sequence[str]) -> str | None:
    return dice.choice(sorted(names)) if names else None


def about_servers(dice: random.Random, model: Model, ids: Ids) -> Call:
    name = pick(dice, [*model.servers])
    if name is None or dice.random() < 0.3:
        name = f"s{dice.randrange(8)}"
        starts = dice.random() < 0.7
        body = {"name": name, "server_type": "cx23", "image": "debian-13", "location": "fsn1"}
        after = None if name in model.servers else replace(model, servers={**model.servers, name: starts})
        return Call("POST", "/servers", {**body, "start_after_create": starts}, after)
    path = f"/servers/{ids['servers'][name]}"
    verbs = {"poweron": True, "poweroff": False, "shutdown": False, "reboot": True, "reset": True, "rebuild": True}
    if verb := dice.choice([*verbs, "", ""]):
        body = {"image": "debian-13"} if verb == "rebuild" else {}
        after = replace(model, servers={**model.servers, name: verbs[verb]})
        return Call("POST", f"{path}/actions/{verb}", body, after)
    after = replace(
        model,
        servers={each: on for each, on in model.servers.items() if each != name},
        volumes={each: (size, None if at == name else at) for each, (size, at) in model.volumes.items()},
        firewalls={each: (port, servers - {name}) for each, (port, servers) in model.firewalls.items()},
    )
    return Call("DELETE", path, {}, after)


def about_volumes(dice: random.Random, model: Model, ids: Ids) -> Call:
    name, server = pick(dice, [*model.volumes]), pick(dice, [*model.servers])
    if name is None or dice.random() < 0.3:
        name = f"v{dice.randrange(8)}"
        place = {"server": ids["servers"][server]} if server else {"location": "fsn1"}
        after = None if name in model.volumes else replace(model, volumes={**model.volumes, name: (10, server)})
        return Call("POST", "/volumes", {"name": name, "size": 10, **place}, after)
    path = f"/volumes/{ids['volumes'][name]}"
    size, at = model.volumes[name]

    def with_volume(size: int, at: str | None) -> Model:
        return replace(model, volumes={**model.volumes, name: (size, at)})

    match dice.choice(["attach", "detach", "resize", "delete"]):
        case "attach" if server:
            body = {"server": ids["servers"][server]}
            return Call("POST", f"{path}/actions/attach", body, None if at else with_volume(size, server))
        case "detach":
            return Call("POST", f"{path}/actions/detach", {}, with_volume(size, None) if at else None)
        case "resize":
            larger = size + dice.randrange(2)
            after = with_volume(larger, at) if larger > size else None
            return Call("POST", f"{path}/actions/resize", {"size": larger}, after)
    rest = {each: value for each, value in model.volumes.items() if each != name}
    return Call("DELETE", path, {}, None if at else replace(model, volumes=rest))


def about_images(dice: random.Random, model: Model, ids: Ids) -> Call:
    image, server = pick(dice, [*model.images]), pick(dice, [*model.servers])
    if server and (image is None or dice.random() < 0.5):
        description = str(dice.random())
        after = replace(model, images=model.images | {description})
        return Call(
            "POST", f"/servers/{ids['servers'][server]}/actions/create_image", {"description": description}, after
        )
    if image is None:
        return Call("DELETE", "/images/1", {}, None)
    return Call("DELETE", f"/images/{ids['images'][image]}", {}, replace(model, images=model.images - {image}))


def about_firewalls(dice: random.Random, model: Model, ids: Ids) -> Call:
    name, server = pick(dice, [*model.firewalls]), pick(dice, [*model.servers])
    port = str(dice.randrange(1, 99))
    targets = [{"type": "server", "server": {"id": ids["servers"][server]}}] if server else []
    targeted = frozenset([server] if server else [])
    if name is None or dice.random() < 0.3:
        name = f"f{dice.randrange(4)}"
        made = {**model.firewalls, name: (port, targeted)}
        after = None if name in model.firewalls else replace(model, firewalls=made)
        return Call("POST", "/firewalls", {"name": name, "rules": [rule(port)], "apply_to": targets}, after)
    path = f"/firewalls/{ids['firewalls'][name]}"
    before, servers = model.firewalls[name]

    def with_firewall(port: str, servers: frozenset[str]) -> Model:
        return replace(model, firewalls={**model.firewalls, name: (port, servers)})

    match dice.choice(["set", "apply", "remove", "delete"]):
        case "set":
            return Call("POST", f"{path}/actions/set_rules", {"rules": [rule(port)]}, with_firewall(port, servers))
        case "apply":
            after = None if targeted & servers else with_firewall(before, servers | targeted)
            return Call("POST", f"{path}/actions/apply_to_resources", {"apply_to": targets}, after)
        case "remove":
            after = None if targeted - servers else with_firewall(before, servers - targeted)
            return Call("POST", f"{path}/actions/remove_from_resources", {"remove_from": targets}, after)
    rest = {each: value for each, value in model.firewalls.items() if each != name}
    return Call("DELETE", path, {}, None if servers else replace(model, firewalls=rest))


def actions_of(cloud: LocalCloud) -> Actions:
    actions: Actions = cloud.client.app.state.actions  # type: ignore[attr-defined]
    return actions


def resume(cloud: LocalCloud) -> None:
    """Let the program do all that it does when it starts, and wait for it."""
    actions_of(cloud).resume()
    actions_of(cloud).close()


def live(cloud: LocalCloud, backend: Mortal, dice: random.Random, model: Model) -> list[Model]:
    """Call until the end; returns what may be there then."""
    for _ in range(CALLS):
        call = any_call(dice, model, cloud)
        status, answer = cloud.call(call.method, call.path, call.body)
        assert (200 <= status < 300) == (call.after is not None), (call, answer)
        if backend.moment:
            return [model, call.after or model]
        if dice.random() < 0.2 and call.after:  # it dies with work behind its back
            backend.die()
            return [call.after]
        cloud.settle()
        model = call.after or model
        if backend.moment:
            return [model]
    backend.die()
    return [model]


def check(cloud: LocalCloud, backend: MemoryBackend) -> None:
    """What is recorded is what the machines are."""
    state = cloud.store.state
    assert {action.status for action in state.actions.values()} <= {"success"}
    assert backend.machines == {each.id: state.machine(each) for each in state.servers.values()}
    assert backend.volumes == {each.id: each.size for each in state.volumes.values()}
    assert backend.snapshots == {f"snapshot-{id_}" for id_ in state.images}
    assert backend.rules == packet_filter(state)
    for id_ in backend.on:
        assert list(backend.shown[id_]) == state.volumes_of(id_)
    taken = [each.primary_ip for each in state.servers.values()]
    assert sorted(state.primary_ips) == sorted(filter(None, taken))


@pytest.mark.parametrize("seed", range(2))
def test_killed_fifty_times_it_keeps_what_it_granted(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here, and it takes most of the time
    dice = random.Random(seed)
    possible, machines, state = [Model()], MemoryBackend(), "{}"
    for life in range(LIVES):
        directory = tmp_path / str(life)
        directory.mkdir()
        (directory / "state.json").write_text(state)
        backend = Mortal(directory, machines, calls=dice.randrange(1, 40))
        resume(LocalCloud(directory, backend))
        if not backend.moment:  # else it died again before it was up
            cloud = LocalCloud(directory, backend)
            check(cloud, backend)
            now = Model.of(cloud)
            assert now in possible
            possible = live(cloud, backend, dice, now)
            actions_of(cloud).close()
        assert backend.moment
        state, machines = backend.moment
