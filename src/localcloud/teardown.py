"""Removing the local cloud from the host: all of it, or all but its data."""

from __future__ import annotations

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from localcloud import daemon
from localcloud.core.backend import BackendError
from localcloud.machine import firewall, network, podman, volumes
from localcloud.machine.machines import SHUTDOWN_SECONDS
from localcloud.machine.process import run
from localcloud.paths import INVENTORY_STATE, RUNTIME, STATE

DAEMON_SECONDS = 60.0
LEFTOVER_SECONDS = 10.0


def stop_daemon() -> None:
    """End the daemon; the machines keep running.

    Raises:
        BackendError: it does not end.
    """
    found = daemon.owner()
    if found is None:
        return
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + DAEMON_SECONDS
    while daemon.owner() is not None:
        if time.monotonic() > deadline:
            raise BackendError(f"the local cloud's process {found.pid} does not end: kill it, then try again")
        time.sleep(0.1)


def stop(*, force: bool) -> None:
    """End all that runs, machines cleanly or with `force` at once, and undo changes to the host; data stays."""
    stop_daemon()
    if not STATE.exists():
        return
    podman.configure()
    names = podman.names()
    seconds = 0 if force else SHUTDOWN_SECONDS
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda name: podman.podman("stop", "--ignore", f"--time={seconds}", name), names))
    for name in names:
        podman.podman("rm", "--force", "--ignore", name)
    for mount in mounts():
        run("umount", mount)
    network.remove_machines()
    network.remove_bridge()
    firewall.remove()
    volumes.detach_all()
    _end_leftovers()
    if RUNTIME.exists():
        shutil.rmtree(RUNTIME)


def remove() -> None:
    """End all that runs and delete all data."""
    stop(force=True)
    for directory in (STATE, INVENTORY_STATE):
        if directory.exists():
            shutil.rmtree(directory)
    with suppress(OSError):  # there may be something else in it
        STATE.parent.rmdir()


def mounts() -> list[str]:
    """List the mounts that are ours, innermost first."""
    ours = (f"{STATE}/", f"{RUNTIME}/")
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(ours)), key=len, reverse=True)


def _end_leftovers() -> None:
    """End processes that Podman lost track of, and remove their control groups; a slice goes by itself."""
    trees = [
        tree for name in podman.CGROUPS for found in (name, f"*/{name}") for tree in Path("/sys/fs/cgroup").glob(found)
    ]
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while pids := {pid for tree in trees for file in tree.rglob("cgroup.procs") for pid in file.read_text().split()}:
        if time.monotonic() > deadline:
            raise BackendError(f"these processes do not end, kill them: {' '.join(sorted(pids))}")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)
    podman.remove_cgroups("parrotpark")
