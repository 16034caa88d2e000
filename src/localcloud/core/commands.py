"""The commands of actions: what each does to machines and state. Every function may be repeated after a crash."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace

from localcloud.core.backend import FAILURES, Backend, Rule
from localcloud.core.model import SNAPSHOT, Action, Firewall, snapshot_name
from localcloud.core.store import State, Store

type PacketFilter = Mapping[str, Sequence[Rule] | None]


def packet_filter(state: State) -> PacketFilter:
    """The rules for each server by its address: those of all its firewalls together, None if it has none."""
    return {
        address: [rule for firewall in firewalls for rule in _rules(firewall)] if firewalls else None
        for server in state.servers.values()
        if (address := state.address(server))
        for firewalls in [state.firewalls_of(server)]
    }


def _rules(firewall: Firewall) -> list[Rule]:
    return [
        Rule(
            rule.direction,
            rule.protocol,
            rule.port,
            rule.source_ips if rule.direction == "in" else rule.destination_ips,
        )
        for rule in firewall.rules
    ]


def forget(state: State, server_id: int) -> None:
    """Take a server out of the state, and out of all that refers to it."""
    server = state.servers.pop(server_id)
    for volume_id in state.volumes_of(server_id):
        state.volumes[volume_id] = replace(state.volumes[volume_id], server=None)
    for firewall in list(state.firewalls.values()):
        if server_id in firewall.servers:
            rest = tuple(id_ for id_ in firewall.servers if id_ != server_id)
            state.firewalls[firewall.id] = replace(firewall, servers=rest)
    if server.primary_ip is not None and state.primary_ips[server.primary_ip].auto_delete:
        del state.primary_ips[server.primary_ip]


class Commands:
    """Carries out the commands of actions, and enforces the firewalls, in the backend."""

    def __init__(self, store: Store, backend: Backend) -> None:
        self._store = store
        self._backend = backend
        self._enforcing = threading.Lock()
        self.enforced: PacketFilter = {}  # what the backend is known to enforce
        self._commands = {
            "create_server": self._create_server,
            "start_server": self._start_server,
            "stop_server": self._stop_server,
            "shutdown_server": self._shutdown_server,
            "reboot_server": self._reboot_server,
            "reset_server": self._reset_server,
            "rebuild_server": self._rebuild_server,
            "delete_server": self._delete_server,
            "create_image": self._create_image,
            "delete_image": self._delete_image,
            "create_volume": self._create_volume,
            "delete_volume": self._delete_volume,
            "resize_volume": self._resize_volume,
            "attach_volume": self._attach_volume,
            "detach_volume": self._detach_volume,
            "assign_primary_ip": self._assign_primary_ip,
        }

    def carry_out(self, action: Action) -> None:
        """Carry out the command that the action names; raises BackendError."""
        self._commands[action.command](action)

    def enforce_firewalls(self) -> None:
        """Make the backend enforce exactly the firewalls in the store; raises BackendError."""
        with self._enforcing:
            wanted = packet_filter(self._store.state)
            self._backend.filter(wanted)
            self.enforced = wanted

    def _create_server(self, action: Action) -> None:
        state = self._store.state
        machine = state.machine(state.servers[action.id_of("server")])
        try:
            self._backend.create(machine)
        except FAILURES:
            with suppress(*FAILURES):
                self._backend.delete(machine)
            with self._store.change() as state:
                forget(state, machine.id)
            raise

    def _start_server(self, action: Action) -> None:
        state = self._store.state
        server = state.servers[action.id_of("server")]
        self.enforce_firewalls()  # before its first packet
        self._backend.attach_volumes(state.machine(server), state.volumes_of(server.id))
        self._backend.start(state.machine(server))

    def _stop(self, action: Action, *, force: bool) -> None:
        state = self._store.state
        self._backend.stop(state.machine(state.servers[action.id_of("server")]), force=force)

    def _stop_server(self, action: Action) -> None:
        self._stop(action, force=True)

    def _shutdown_server(self, action: Action) -> None:
        """Only send the signal: the supervisor sees the machine go off. One that is off is to stay off."""
        state = self._store.state
        server = state.servers[action.id_of("server")]
        if server.id in self._backend.running():
            self._backend.shutdown(state.machine(server))
            return
        with self._store.change() as state:
            state.servers[server.id] = replace(state.servers[server.id], wanted="off")

    def _reboot_server(self, action: Action) -> None:
        self._stop(action, force=False)
        self._start_server(action)

    def _reset_server(self, action: Action) -> None:
        self._stop(action, force=True)
        self._start_server(action)

    def _rebuild_server(self, action: Action) -> None:
        state = self._store.state
        machine = state.machine(state.servers[action.id_of("server")])
        self._backend.stop(machine, force=True)
        self._backend.delete(machine)
        self._backend.create(machine)
        self._start_server(action)

    def _delete_server(self, action: Action) -> None:
        state = self._store.state
        server = state.servers.get(action.id_of("server"))
        if server is None:  # deleted before the crash that made us repeat this
            return
        machine = state.machine(server)
        self._backend.stop(machine, force=True)
        self._backend.delete(machine)
        with self._store.change() as state:
            forget(state, server.id)
        self.enforce_firewalls()

    def _create_image(self, action: Action) -> None:
        state = self._store.state
        image = state.images[action.id_of("image")]
        try:
            size = self._backend.snapshot(state.machine(state.servers[action.id_of("server")]), snapshot_name(image.id))
        except FAILURES:
            with self._store.change() as state:
                del state.images[image.id]
            raise
        with self._store.change() as state:
            state.images[image.id] = replace(state.images[image.id], size_bytes=size)

    def _delete_image(self, action: Action) -> None:
        self._backend.delete_image(snapshot_name(action.id_of("image")))

    def delete_forgotten_images(self) -> None:
        """Delete the snapshots that have no record: their deletion failed, but their clients were told it was done."""
        for name in self._backend.images():
            if name.startswith(SNAPSHOT) and name not in map(snapshot_name, self._store.state.images):
                self._backend.delete_image(name)

    def _create_volume(self, action: Action) -> None:
        volume = self._store.state.volumes[action.id_of("volume")]
        try:
            self._backend.create_volume(volume.id, volume.size, volume.format)
        except FAILURES:
            with suppress(*FAILURES):
                self._backend.delete_volume(volume.id)
            with self._store.change() as state:
                del state.volumes[volume.id]
            raise

    def _delete_volume(self, action: Action) -> None:
        volume_id = action.id_of("volume")
        self._backend.delete_volume(volume_id)
        with self._store.change() as state:
            state.volumes.pop(volume_id, None)

    def _resize_volume(self, action: Action) -> None:
        self._backend.resize_volume(action.id_of("volume"), action.argument)
        with self._store.change() as state:
            volume = state.volumes[action.id_of("volume")]
            state.volumes[volume.id] = replace(volume, size=action.argument)

    def _attach_volume(self, action: Action) -> None:
        self._show_volumes(action.id_of("server"), add={action.id_of("volume")})
        self._record_attachment(action, action.id_of("server"))

    def _detach_volume(self, action: Action) -> None:
        self._show_volumes(action.id_of("server"), remove={action.id_of("volume")})
        self._record_attachment(action, None)

    def _show_volumes(self, server: int, *, add: Set[int] = frozenset(), remove: Set[int] = frozenset()) -> None:
        state = self._store.state
        wanted = sorted({*state.volumes_of(server), *add} - remove)
        self._backend.attach_volumes(state.machine(state.servers[server]), wanted)

    def _record_attachment(self, action: Action, server: int | None) -> None:
        with self._store.change() as state:
            volume = state.volumes[action.id_of("volume")]
            state.volumes[volume.id] = replace(volume, server=server)

    def _assign_primary_ip(self, action: Action) -> None:
        """Remake the machine around its root: its address is part of its wiring."""
        state = self._store.state
        self._backend.create(state.machine(state.servers[action.id_of("server")]))
