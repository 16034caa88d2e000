"""How Ansible reaches a host: with the deploy key, known host keys, and through the entry server where it must."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import PurePath

from parrotpark.cloud.errors import InvalidRequest
from parrotpark.control.secrets.ssh_folder import KNOWN_HOSTS, PRIVATE_KEY

USER = "root"


def connection(name: str, address: str, directory: PurePath, jump: tuple[str, str] | None) -> dict[str, str]:
    """Return the connection variables of host `name` at `address`.

    `directory` is what `secrets.ssh_folder` writes, where hosts are known by name; `jump` is the host to go through, by
    name and address. Both come from a cloud; as they become part of a command, they are checked first.

    Raises:
        InvalidRequest: a host name or an address is malformed.
    """
    for host, place in ((name, address), *([jump] if jump else [])):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", host):
            raise InvalidRequest(f"{host!r} is not a host name: rename the server")
        try:
            ip_address(place)
        except ValueError:
            raise InvalidRequest(f"{place!r} is not an IP address of {host}") from None
    options = _options(name, directory)
    if jump is not None:
        jump_name, jump_address = jump
        hop = ["ssh", "-i", str(directory / PRIVATE_KEY), *_options(jump_name, directory)]
        options += ["-o", f"ProxyCommand={shlex.join([*hop, '-W'])} %h:%p {USER}@{jump_address}"]
    return {
        "ansible_host": address,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(directory / PRIVATE_KEY),
        "ansible_ssh_common_args": shlex.join(options),
    }


def _options(name: str, directory: PurePath) -> list[str]:
    settings = {
        "HostKeyAlias": name,
        "UserKnownHostsFile": str(directory / KNOWN_HOSTS),
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
    }
    return _arguments(settings)


def as_arguments(settings: Mapping[str, str]) -> str:
    """Write settings of ssh as text that a shell splits into arguments."""
    return shlex.join(_arguments(settings))


def _arguments(settings: Mapping[str, str]) -> list[str]:
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
