"""Hosts from the clouds' own lists: which clouds to ask, and what each server becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

from parrotpark import lease as label
from parrotpark.cloud import PROVIDERS, Server, connect
from parrotpark.cloud.credentials import TokenFileMissing, read_credential
from parrotpark.cloud.errors import InvalidRequest, Unreachable
from parrotpark.ssh import connection


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """One project to ask."""

    provider: str
    endpoint: str | None = None
    token_file: str | None = None
    token_env: str | None = None

    @classmethod
    def parse(cls, values: object) -> CloudConfig:
        """Read one item of the configuration's `clouds`.

        Raises:
            InvalidRequest: a key is unknown or missing, or a value is no text.
        """
        if not isinstance(values, Mapping):
            raise InvalidRequest("an item of clouds is not a mapping: write provider, endpoint and token_file")
        unknown = sorted(values.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            raise InvalidRequest(f"{unknown[0]!r} in clouds is unknown; known: {', '.join(cls.__dataclass_fields__)}")
        wrong = [key for key, value in values.items() if not isinstance(value, str | None)]
        if wrong:
            raise InvalidRequest(f"{wrong[0]!r} in clouds must be a text")
        if values.get("provider") not in PROVIDERS:
            raise InvalidRequest(f"provider in clouds must be one of {', '.join(PROVIDERS)}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the clouds listed, and why some could not be asked: they are not there yet."""

    servers: tuple[Server, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """A server as a host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, object]


def list_servers(configs: Sequence[CloudConfig], environ: Mapping[str, str]) -> Listing:
    """Ask every cloud for our servers: one call each, and one more for every further 50 servers.

    Raises:
        CloudError: a cloud is there but refuses.
    """
    servers: list[Server] = []
    absent: list[str] = []
    for config in configs:
        try:
            credential = read_credential(config.token_file, config.token_env, environ)
            servers += connect(config.provider, credential, config.endpoint).servers({label.ROLE: None})
        except (TokenFileMissing, Unreachable) as error:
            absent.append(str(error))
    return Listing(tuple(servers), tuple(absent))


def hosts(servers: Sequence[Server], ssh_directory: PurePath | None = None) -> tuple[Host, ...]:
    """Turn servers into hosts. With `ssh_directory` they know how to be reached, GPU hosts through the entry server.

    Raises:
        InvalidRequest: two servers have one name.
    """
    names = [server.name for server in servers]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"two servers are named {name!r}: rename or delete one of them")
    entries = [server for server in servers if server.labels.get(label.ROLE) == "entry" and server.ipv4]
    jump = (entries[0].name, str(entries[0].ipv4)) if entries else None
    return tuple(_host(server, ssh_directory, None if server in entries else jump) for server in servers)


def _host(server: Server, ssh_directory: PurePath | None, jump: tuple[str, str] | None) -> Host:
    facts: dict[str, object] = asdict(server)
    for key in (label.ROLE, label.SLOT, label.STATE):
        facts[key.removeprefix(label.PREFIX)] = server.labels.get(key)
    groups = [
        server.labels[label.ROLE],
        f"location_{server.location}",
        *(f"{kind}_{server.labels[key]}" for kind, key in _GROUPED.items() if key in server.labels),
    ]
    address: dict[str, str] = {}
    if server.ipv4 is not None:
        address = {"ansible_host": server.ipv4}
        if ssh_directory is not None:
            address = connection(server.name, server.ipv4, ssh_directory, jump)
    return Host(server.name, tuple(map(group_name, groups)), {**address, "parrotpark_server": facts})


_GROUPED = {"slot": label.SLOT, "state": label.STATE}


def group_name(text: str) -> str:
    """Make a valid name of an Ansible group."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)
