"""The one process of the local cloud: API, metadata service, relays and supervisor.

It holds a lock for as long as it lives, so that a host has one local cloud, from whatever checkout it was started.
Machines do not depend on it: they keep running when it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import socket
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from localcloud import secret
from localcloud.api import metadata
from localcloud.api.app import create_app
from localcloud.core.backend import BackendError
from localcloud.core.store import Store
from localcloud.machine import listener, network, podman, roots
from localcloud.machine.machines import PodmanBackend
from localcloud.paths import API_PORT, GATEWAY, METADATA, METADATA_PORT, STATE, TOKENS
from localcloud.supervisor import Supervisor

PACKAGE = Path(__file__).parent
LOCK = STATE / "daemon.lock"
PROJECTS = ("entry", "gpu", "test")  # the last one for tests: what lives in the second without a lease is swept
LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who runs the local cloud of this host."""

    pid: int
    checkout: str
    code: str  # a hash over the program

    @classmethod
    def this(cls) -> Owner:
        """Describe this process."""
        digest = hashlib.sha256()
        for path in program():
            digest.update(path.read_bytes())
        return cls(os.getpid(), str(PACKAGE.parent.parent), digest.hexdigest())


def program() -> list[Path]:
    """List the files that the cloud runs: an edit of the demo does not restart the daemon."""
    files = (path for part in PACKAGE.iterdir() if part.name != "demo" for path in (part, *part.rglob("*")))
    return sorted(path for path in files if path.suffix == ".py" or path.parent.name == "guest")


def owner() -> Owner | None:
    """Tell who runs the local cloud now, if anybody does."""
    try:
        with LOCK.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return Owner(**json.loads(LOCK.read_text()))


def take_lock() -> TextIO:
    """Become the only local cloud of this host until the file is closed.

    Raises:
        BackendError: there is one already.
    """
    file = LOCK.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BackendError("the local cloud is running already") from None
    file.truncate(0)
    json.dump(asdict(Owner.this()), file)
    file.flush()
    return file


def tokens() -> dict[str, str]:
    """Return the project of each token; tokens are made once."""
    return {secret.keep(TOKENS / project): project for project in PROJECTS}


def listen(address: IPv4Address, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        BackendError: the address is taken.
    """
    try:
        return listener.listen(str(address), port)
    except OSError as error:
        raise BackendError(f"cannot listen on {address}:{port}: {os.strerror(error.errno or 0)}") from error


def uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    """Tell uvicorn to serve the program and to trust no header about where a call comes from."""
    # Uvicorn would believe X-Forwarded-For from the loopback, and the metadata service knows servers by their address.
    return uvicorn.Config(
        app,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        # Clients keep a connection between two polls of an action, which are seconds apart.
        timeout_keep_alive=75,
    )


async def _serve() -> None:
    roots.remove_unfinished()
    backend = PodmanBackend()
    podman.podman("unpause", "--all")  # a snapshot may have been interrupted
    network.ensure_bridge()
    store = Store(STATE)
    cloud = create_app(store, backend, tokens())
    about_servers = metadata.create_app(store)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope.get("server")
        await (about_servers if asked and asked[0] == str(METADATA) else cloud)(scope, receive, send)

    sockets = [listen(LOOPBACK, API_PORT), listen(GATEWAY, API_PORT), listen(METADATA, METADATA_PORT)]
    server = uvicorn.Server(uvicorn_config(app))
    watch = asyncio.create_task(Supervisor(store, backend, cloud.state.actions).run())
    try:
        await server.serve(sockets)
    finally:
        watch.cancel()


def main() -> None:
    """Serve until told to end.

    Raises:
        BackendError: another local cloud runs, or an address is taken.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with take_lock():
        asyncio.run(_serve())
