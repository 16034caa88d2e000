"""A container registry on the bridge: Debian's own, in a container, with its data beside the other state.

It speaks plain HTTP and knows no passwords: only this host and its machines reach it, and they may only pull. Pushes
come in by a door that this host's root opens.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.machine import images, podman, roots
from localcloud.machine.listener import answers
from localcloud.paths import GATEWAY, REGISTRY, REGISTRY_PORT, RUNTIME

NAME = "registry"
IMAGE = "registry"
PACKAGE = "docker-registry"
BASE = "debian-13"

START_SECONDS = 60.0
DOOR = "registry-door"
DOOR_SECONDS = 10.0

CONFIG = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
"""
PULL_ONLY = f"""\
{CONFIG}\
  maintenance:
    readonly:
      enabled: true
http:
  addr: {GATEWAY}:{REGISTRY_PORT}
"""
PUSH = f"""\
{CONFIG}\
http:
  net: unix
  addr: /run/door/socket
  secret: {DOOR}
"""


def ensure_image(progress: Callable[[str], None]) -> None:
    """Build the registry's image on top of the system image unless it exists."""
    images.ensure(BASE, progress)
    base = str(roots.image_facts(BASE)["recipe"])
    recipe = hashlib.sha256(f"{base} {PACKAGE}".encode()).hexdigest()
    if roots.image_facts(IMAGE).get("recipe") == recipe:
        return
    progress("building the registry from its package")
    builder = f"{IMAGE}-builder"
    roots.delete(builder)
    root = roots.create(builder, BASE)
    install = f"apt-get -qq update && apt-get -qq install --no-install-recommends {PACKAGE} && apt-get clean"
    podman.run_attached(builder, "--network=host", "--rootfs", str(root), "/bin/sh", "-ec", install)
    roots.snapshot(builder, IMAGE, recipe=recipe)
    roots.delete(builder)


def runs() -> bool:
    """Tell whether the registry runs with this program's configuration."""
    return podman.alive(NAME) and _config(NAME).read_text() == PULL_ONLY


def start() -> None:
    """Start the registry from its newest image; what was pushed before is kept."""
    _serve(NAME, PULL_ONLY, "--network=host")


def wait() -> None:
    """Wait until the registry, which the supervisor starts, answers.

    Raises:
        BackendError: it does not.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"http://{GATEWAY}:{REGISTRY_PORT}/v2/"):
        if time.monotonic() > deadline:
            raise BackendError(
                f"the registry does not answer on {GATEWAY}:{REGISTRY_PORT}; `python -m localcloud logs` says why"
            )
        time.sleep(0.1)


@contextmanager
def open_door() -> Iterator[Path]:
    """Serve the registry's data for pushing, while the block runs, at a socket that only root of this host reaches.

    Raises:
        BackendError: it does not start.
    """
    folder = RUNTIME / DOOR
    folder.mkdir(mode=0o700, exist_ok=True)
    door = folder / "socket"
    door.unlink(missing_ok=True)
    try:
        _serve(DOOR, PUSH, "--network=none", f"--volume={folder}:/run/door")
        deadline = time.monotonic() + DOOR_SECONDS
        while not door.exists():
            if time.monotonic() > deadline:
                raise BackendError(f"the registry's door does not open: {podman.podman('logs', '--tail=1', DOOR)}")
            time.sleep(0.1)
        yield door
    finally:
        podman.remove(DOOR)
        roots.delete(DOOR)


def _serve(name: str, config: str, *arguments: str) -> None:
    podman.remove(name)
    roots.delete(name)
    root = roots.create(name, IMAGE)
    _config(name).write_text(config)
    REGISTRY.mkdir(parents=True, exist_ok=True)
    podman.run_detached(
        name,
        *arguments,
        f"--volume={REGISTRY}:/var/lib/docker-registry",
        f"--volume={_config(name)}:/etc/docker/registry/config.yml:ro",
        "--rootfs",
        str(root),
        "/usr/bin/docker-registry",
        "serve",
        "/etc/docker/registry/config.yml",
    )


def _config(name: str) -> Path:
    return roots.directory(name) / "config.yml"
