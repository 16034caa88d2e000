"""Keeps things as they are wanted while the API runs: machines that rebooted themselves, relays, the registry, S3."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from localcloud.core.actions import Actions, LockedError, begin
from localcloud.core.backend import BackendError
from localcloud.core.model import Reference, Server
from localcloud.core.store import Store
from localcloud.machine import registry, s3
from localcloud.machine.machines import PodmanBackend, container_name
from localcloud.machine.relays import Relays, wanted_ports

PERIOD = 1.0  # seconds
RETRY = 30.0  # seconds before a start that failed is tried again
_log = logging.getLogger(__name__)


class Supervisor:
    """Compares wanted and actual state once a period, and acts on the difference."""

    def __init__(self, store: Store, backend: PodmanBackend, actions: Actions) -> None:
        """Supervise what the store says is wanted."""
        self._store = store
        self._backend = backend
        self._actions = actions
        self._tried: dict[str, float] = {}  # container: when it was last started, by the monotonic clock

    async def run(self) -> None:
        """Supervise until cancelled."""
        relays = Relays()
        try:
            while True:
                try:
                    await relays.converge(wanted_ports(self._store.state))
                    await asyncio.to_thread(self.look)
                except BackendError as error:
                    _log.error("%s", error)
                except Exception:  # a fault here must not end the supervision of all machines
                    _log.exception("the supervisor has a fault")
                await asyncio.sleep(PERIOD)
        finally:
            relays.close()

    def look(self) -> None:
        """Compare what is wanted with what is, once.

        Raises:
            BackendError: the host could not do what was needed.
        """
        for service in (registry, s3):
            if not service.runs() and self._due(service.NAME):
                service.start()
        state = self._store.state
        running = self._backend.running()
        for server in state.servers.values():
            if server.wanted == "running" and server.id not in running and not state.busy("server", server.id):
                self._revive(server)

    def _revive(self, server: Server) -> None:
        """Follow what the machine did by itself: after a power-off it stays off, after anything else it is started."""
        if self._backend.powered_off(server.id):
            with self._store.change() as state:
                if state.servers.get(server.id) == server and not state.busy("server", server.id):
                    state.servers[server.id] = replace(server, wanted="off")
            return
        if not self._due(container_name(server.id)):
            return
        try:
            with self._store.change() as state:
                actions = begin(state, server.project, ("start_server", [Reference("server", server.id)]))
        except LockedError:
            return
        self._actions.submit(actions)

    def _due(self, name: str) -> bool:
        if time.monotonic() - self._tried.get(name, -RETRY) < RETRY:
            return False
        self._tried[name] = time.monotonic()
        return True
