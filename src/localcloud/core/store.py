"""The local cloud's state: one JSON file, replaced as a whole on every change.

`Store.state` is the state as last saved; take it once and read from it without a lock, it never changes under you.
Writers work on a copy inside `Store.change()`: what raises there leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin, get_type_hints

from localcloud.core.backend import Machine
from localcloud.core.catalogue import server_type
from localcloud.core.labels import selector
from localcloud.core.model import Action, Firewall, Image, PrimaryIp, Server, SshKey, Volume
from localcloud.paths import NETWORK

_FIRST_HOST = 10  # the bridge and the registry are below
_ACTIONS_KEPT = 1000


@dataclass(slots=True)
class State:
    """Every record by id. Ids are given once and increase over all types together."""

    next_id: int = 1000  # the numbers below are the catalogue's
    servers: dict[int, Server] = field(default_factory=dict)
    ssh_keys: dict[int, SshKey] = field(default_factory=dict)
    firewalls: dict[int, Firewall] = field(default_factory=dict)
    volumes: dict[int, Volume] = field(default_factory=dict)
    primary_ips: dict[int, PrimaryIp] = field(default_factory=dict)
    images: dict[int, Image] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)

    def copy(self) -> State:
        """A state with tables of its own; the records in them are frozen and shared."""
        return State(
            self.next_id,
            dict(self.servers),
            dict(self.ssh_keys),
            dict(self.firewalls),
            dict(self.volumes),
            dict(self.primary_ips),
            dict(self.images),
            dict(self.actions),
        )

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def address(self, server: Server) -> str | None:
        """The server's public IPv4 address, if it has one."""
        return None if server.primary_ip is None else self.primary_ips[server.primary_ip].ip

    def server_at(self, address: str) -> Server | None:
        """The server that has this public IPv4 address, as the metadata service needs it."""
        return next((server for server in self.servers.values() if self.address(server) == address), None)

    def machine(self, server: Server) -> Machine:
        """Describe the server for the backend. Without an address (`ipv4` is empty) it is never started."""
        kind = server_type(server.server_type)
        return Machine(
            id=server.id,
            name=server.name,
            image=server.image,
            ipv4=self.address(server) or "",
            cores=kind.cores,
            memory_gb=kind.memory_gb,
            user_data=server.user_data,
            ssh_public_keys=server.ssh_public_keys,
        )

    def volumes_of(self, server: int) -> list[int]:
        """Ids of the volumes attached to the server."""
        return [volume.id for volume in self.volumes.values() if volume.server == server]

    def servers_matching(self, project: str, label_selector: str) -> list[Server]:
        """The project's servers that the label selector matches."""
        matches = selector(label_selector)
        return [s for s in self.servers.values() if s.project == project and matches(s.labels)]

    def firewalls_of(self, server: Server) -> list[Firewall]:
        """The firewalls applied to the server, by its id or by a label selector of its project."""
        return [
            firewall
            for firewall in self.firewalls.values()
            if server.id in firewall.servers
            or any(server in self.servers_matching(firewall.project, text) for text in firewall.selectors)
        ]

    def busy(self, kind: str, id_: int) -> Action | None:
        """The oldest unfinished action on this resource, which is locked while there is one."""
        for action in self.actions.values():
            if action.status == "running" and any((ref.type, ref.id) == (kind, id_) for ref in action.resources):
                return action
        return None

    def free_address(self) -> str | None:
        """The lowest address of the bridge that no primary IP has."""
        taken = {ip.ip for ip in self.primary_ips.values()}
        hosts = (str(NETWORK[number]) for number in range(_FIRST_HOST, NETWORK.num_addresses - 1))
        return next((host for host in hosts if host not in taken), None)


class Store:
    """Keeps a `State` in `<directory>/state.json`; safe to use from many threads of one process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "state.json"
        self._lock = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.state: State = from_json(self._path.read_text()) if self._path.exists() else State()

    @contextmanager
    def change(self) -> Iterator[State]:
        """Change a copy of the state; it is saved and becomes `state` unless the block raises."""
        with self._lock:
            draft = self.state.copy()
            yield draft
            done = [id_ for id_, action in draft.actions.items() if action.status != "running"]
            for id_ in done[:-_ACTIONS_KEPT]:
                del draft.actions[id_]
            self._save(draft)
            self.state = draft

    def _save(self, state: State) -> None:
        # user_data may hold secrets, so the file is the owner's alone from its first byte.
        scratch = self._path.with_suffix(".new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(to_json(state))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def to_json(state: State) -> str:
    return json.dumps(state, default=_encode)


def from_json(text: str) -> State:
    state: State = _decode(State, json.loads(text))
    return state


def _encode(record: object) -> dict[str, object]:
    assert is_dataclass(record)
    return {f.name: getattr(record, f.name) for f in fields(record)}


@cache  # a state has thousands of records, but few types of them
def _hints(record: type) -> dict[str, Any]:
    return get_type_hints(record)


def _decode(hint: Any, value: Any) -> Any:
    """Turn plain JSON back into the type it was written from."""
    if isinstance(hint, TypeAliasType):
        return _decode(hint.__value__, value)
    if is_dataclass(hint):
        hints = _hints(hint)  # type: ignore[arg-type]
        return hint(**{name: _decode(hints[name], item) for name, item in value.items()})  # type: ignore[operator]
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        items = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_decode(item, each) for item, each in zip(items, value, strict=True))
    if origin in (dict, Mapping):
        return {_decode(args[0], key): _decode(args[1], item) for key, item in value.items()}
    if origin in (Union, UnionType):
        return None if value is None else _decode(args[0], value)
    return value if origin is Literal else hint(value)
