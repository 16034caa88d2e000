"""What a machine is told at its first boot: cloud-init's NoCloud seed."""

from __future__ import annotations

import json
from pathlib import Path

from localcloud.core.backend import Machine


def render(machine: Machine) -> dict[str, str]:
    """Render the files of the seed by name."""
    metadata = {
        "instance-id": f"{machine.id}",
        "local-hostname": machine.name,
        "public-keys": list(machine.ssh_public_keys),
    }
    # cloud-init wants a user-data file, and takes an empty one for "nothing to do".
    return {"meta-data": json.dumps(metadata), "user-data": machine.user_data, "vendor-data": ""}


def write(machine: Machine, directory: Path) -> None:
    """Write the seed where only root reads it: user data may hold secrets."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in render(machine).items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(content)
