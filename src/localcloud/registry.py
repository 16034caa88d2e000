"""A container registry on the bridge: Debian's own, in a container, with its data beside the other state.

It speaks plain HTTP and knows no passwords: only this host and its machines reach it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from localcloud.machine import images, podman, roots
from localcloud.paths import GATEWAY, REGISTRY, REGISTRY_PORT

NAME = "registry"
IMAGE = "registry"
PACKAGE = "docker-registry"
BASE = "debian-13"

CONFIG = f"""\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: {GATEWAY}:{REGISTRY_PORT}
"""


def ensure_image(progress: Callable[[str], None]) -> None:
    """Build the registry's image upon the system image unless it is there."""
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


def start() -> None:
    """Start the registry from its newest image; what was pushed before is there."""
    roots.delete(NAME)
    root = roots.create(NAME, IMAGE)
    config = roots.directory(NAME) / "config.yml"
    config.write_text(CONFIG)
    REGISTRY.mkdir(parents=True, exist_ok=True)
    podman.run_detached(
        NAME,
        "--network=host",
        f"--volume={REGISTRY}:/var/lib/docker-registry",
        f"--volume={config}:/etc/docker/registry/config.yml:ro",
        "--rootfs",
        str(root),
        "/usr/bin/docker-registry",
        "serve",
        "/etc/docker/registry/config.yml",
    )
