"""Hosts from the clouds' own lists: which clouds to ask, and what each server becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from parrotpark.cloud import Account, Server, connect
from parrotpark.cloud.account import distinct
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.control.boxes import connection as connection_of_box
from parrotpark.control.boxes import lan
from parrotpark.control.ssh import connection
from parrotpark.shared import lease as label

# The groups of machines that are always there: those that serve, those that help one to, and both where there are any
BOXES, HELPERS, TOGETHER = "gpu_static", "gpu_helper", "gpu_ray"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an inventory says about where its hosts are and how to reach them."""

    clouds: tuple[Account, ...]
    state_dir: Path
    vault_password_file: Path

    @classmethod
    def read(cls, value: Callable[[str], object]) -> Settings:
        """Read the inputs that also create the servers; `value` returns an input by its name.

        Raises:
            InvalidRequest: an input is missing or of a wrong kind.
        """

        def text(name: str) -> str:
            found = value(name)
            if not isinstance(found, str) or not found:
                raise InvalidRequest(f"{name} is missing from the inventory, or not text: docs/inputs.md explains it")
            return found

        return cls(
            clouds=_accounts(value("parrotpark_clouds")),
            state_dir=Path(text("parrotpark_state_dir")).expanduser(),
            vault_password_file=Path(text("parrotpark_vault_password_file")).expanduser(),
        )


@dataclass(frozen=True, slots=True)
class Host:
    """A server as a host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, object]


def list_servers(clouds: Sequence[Account]) -> tuple[Server, ...]:
    """Ask every cloud for our servers: one call each, and one more for every further 50 servers.

    Raises:
        CloudError: a cloud does not answer or refuses, so nobody knows which hosts there are.
    """
    connected = [connect(account) for account in clouds if account.makes]
    distinct(clouds)
    return tuple(server for cloud in connected for server in cloud.servers({label.ROLE: None}))


def boxes(clouds: Sequence[Account], ssh_directory: PurePath, taken: Collection[str]) -> tuple[Host, ...]:
    """Turn the machines that are always there into hosts, claimed or not: only the entry server knows that.

    Raises:
        InvalidRequest: a box has the name of another host, or is malformed.
    """
    found = [(account, box, machine) for account in clouds for box in account.hosts for machine in box.machines]
    names = [*taken, *(machine.name for _, _, machine in found)]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"two hosts are named {name!r}: give the box another name")
    return tuple(
        Host(
            machine.name,
            (
                BOXES if machine is box else HELPERS,
                *([TOGETHER] if box.helpers else []),
                group_name(f"cloud_{account.name}"),
            ),
            {
                **connection_of_box(machine, ssh_directory),
                "parrotpark_box": asdict(machine),
                "parrotpark_lan": lan(box, machine),
            },
        )
        for account, box, machine in found
    )


def hosts(servers: Sequence[Server], ssh_directory: PurePath | None = None) -> tuple[Host, ...]:
    """Turn servers into hosts, with `ssh_directory` including how to reach them: GPU hosts through the entry server.

    Raises:
        InvalidRequest: two servers have the same name.
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
        f"cloud_{server.cloud}",
        f"location_{server.location}",
        *(f"{kind}_{server.labels[key]}" for kind, key in _GROUPED.items() if key in server.labels),
    ]
    address: dict[str, str] = {}
    if server.ipv4 is not None:
        address = {"ansible_host": server.ipv4}
        if ssh_directory is not None:
            address = connection(server.name, server.ipv4, ssh_directory, jump)
    return Host(server.name, tuple(map(group_name, groups)), {**address, "parrotpark_server": facts})


def _accounts(value: object) -> tuple[Account, ...]:
    try:
        accounts = tuple(Account.of(entry) for entry in value)  # type: ignore[attr-defined]  # judged by trying
    except (AttributeError, TypeError) as error:
        raise InvalidRequest(
            f"parrotpark_clouds is missing from the inventory, or is not a list of clouds ({error}): "
            "docs/inputs.md explains it"
        ) from None
    if not accounts:
        raise InvalidRequest("parrotpark_clouds names no cloud: docs/inputs.md explains it")
    return accounts


_GROUPED = {"slot": label.SLOT, "state": label.STATE}


def group_name(text: str) -> str:
    """Make a valid name of an Ansible group."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)
