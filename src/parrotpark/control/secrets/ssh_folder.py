"""What `ssh` on the control machine needs: the deploy key, and the host keys that we made (no trust on first use)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from parrotpark.control.secrets.catalogue import PREFIX, SLOTS
from parrotpark.shared.files import differs, write_file

PRIVATE_KEY = "id_ed25519"
PUBLIC_KEY = "id_ed25519.pub"
KNOWN_HOSTS = "known_hosts"


def host_keys(
    values: Mapping[str, object],
    *,
    entry_names: Sequence[str],
    bake_names: Sequence[str],
    slot_names: Sequence[str],
) -> dict[str, str]:
    """Say which public host key belongs to each name (an address or a HostKeyAlias)."""
    slots = cast("Mapping[str, Mapping[str, str]]", values[PREFIX + SLOTS])
    return (
        dict.fromkeys(entry_names, str(values[f"{PREFIX}entry_ssh_host_public_key"]))
        | dict.fromkeys(bake_names, str(values[f"{PREFIX}bake_ssh_host_public_key"]))
        | {name: slots[name]["ssh_host_public_key"] for name in slot_names}
    )


def known_hosts(current: str, keys: Mapping[str, str]) -> str:
    """Return the file with these names' lines replaced; lines of other hosts stay.

    Sorted, so that it is the same whichever names were given last.
    """
    others = [line for line in current.splitlines() if line.split(" ", 1)[0] not in keys]
    ours = [f"{name} {key}" for name, key in keys.items()]
    return "".join(f"{line}\n" for line in sorted([*others, *ours]))


def update(folder: Path, values: Mapping[str, object], keys: Mapping[str, str], *, check: bool) -> list[str]:
    """Write what differs (with `check`, only say so) and return the names of those files.

    Raises:
        OSError: the folder or a file cannot be read or written.
    """
    hosts = folder / KNOWN_HOSTS
    current = hosts.read_text(encoding="utf-8") if hosts.exists() else ""
    wanted = {
        PRIVATE_KEY: (str(values[f"{PREFIX}deploy_ssh_private_key"]), 0o600),
        PUBLIC_KEY: (f"{values[f'{PREFIX}deploy_ssh_public_key']}\n", 0o644),
        KNOWN_HOSTS: (known_hosts(current, keys), 0o644),
    }
    changed = [name for name, (text, mode) in wanted.items() if differs(folder / name, text.encode(), mode)]
    if not check:
        for name in changed:
            text, mode = wanted[name]
            write_file(folder / name, text.encode(), mode)
    return changed
