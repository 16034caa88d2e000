"""Boxes, GPU machines that are always there: what is wrong with those of an inventory, and how they are reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from parrotpark.cloud.account import STATIC, Account
from parrotpark.cloud.box import MAC, SERVER_TYPE, Box, is_mac
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.control.placement import TENSOR_PARALLEL
from parrotpark.control.secrets.ssh_folder import PRIVATE_KEY
from parrotpark.control.slots import NAME
from parrotpark.control.ssh import as_arguments

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]*")
_HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+=*")
_UNIT = re.compile(r"[A-Za-z0-9@_.-]+\.(target|service)")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
# What Ray and vLLM speak through, as the role vllm says
RAY_PORTS = ((6379, 6463), (32768, 60999))
_FORMS = (
    ("name", _NAME, "a name in small letters, digits and '-'"),
    ("address", _ADDRESS, "a name or an address"),
    ("user", _USER, "the name of a user"),
    ("host_key", _HOST_KEY, "the first two words of /etc/ssh/ssh_host_ed25519_key.pub there"),
)


def problems(
    clouds: Sequence[Mapping[str, Any]], offers: Sequence[Mapping[str, Any]], slots: int, entry_cloud: str
) -> list[str]:
    """Say in a line each what is wrong with the clouds of an inventory, as far as boxes are concerned."""
    if closed := [
        cloud["name"] for cloud in clouds if cloud["provider"] != STATIC and not cloud.get("credential_file")
    ]:
        return [f"parrotpark_clouds: {name} lacks credential_file, the file with its token" for name in closed]
    accounts = [Account.of(cloud) for cloud in clouds]
    return [
        *(problem for account in accounts for problem in _of_cloud(account, entry_cloud)),
        *_of_boxes(accounts, offers, slots),
    ]


def _of_cloud(account: Account, entry_cloud: str) -> Iterator[str]:
    where = f"parrotpark_clouds: {account.name}"
    if account.provider != STATIC:
        if account.hosts:
            yield f"{where} has hosts, but is not a static cloud: its servers are created"
        return
    if account.name == entry_cloud:
        yield f"parrotpark_entry_cloud is {account.name}, where no server can be made: name another cloud"
    if not account.hosts:
        yield f"{where} names no hosts: a static cloud is nothing but them"
    if account.credential_file or account.endpoint:
        yield f"{where} has a credential_file or an endpoint, but nothing has to be opened there: leave it out"


def _of_boxes(accounts: Sequence[Account], offers: Sequence[Mapping[str, Any]], slots: int) -> Iterator[str]:
    known = [NAME.format(number) for number in range(1, slots + 1)]
    offered = [(offer["cloud"], offer["location"], offer["server_type"]) for offer in offers]
    boxes = [(account, box) for account in accounts if account.provider == STATIC for box in account.hosts]
    static = {account.name for account, _ in boxes}
    for account, box in boxes:
        where = f"parrotpark_clouds: box {box.name}"
        for machine in box.machines:
            wrong = [*_malformed(machine), *(_not_in_lan(machine) if box.helpers else ())]
            yield from (f"parrotpark_clouds: box {machine.name}: {name} must be {form}" for name, form in wrong)
        if box.slot not in known:
            yield f"{where}: slot {box.slot} is none of {', '.join(known)}, as many as parrotpark_gpu_slots says"
        if (account.name, box.name, SERVER_TYPE) not in offered:
            offer = f"{{cloud: {account.name}, location: {box.name}, server_type: {SERVER_TYPE}}}"
            yield f"parrotpark_gpu_offers lacks {offer}: its slot is for this box alone"
    machines = [machine for _, box in boxes for machine in box.machines]
    together = [[machine.lan_address for machine in box.machines if machine.lan_address] for _, box in boxes]
    for what, values in (
        ("name", [machine.name for machine in machines]),
        ("slot", [box.slot for _, box in boxes]),
        *(("lan_address", addresses) for addresses in together),
    ):
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"parrotpark_clouds: two boxes have the {what} {value}"
    places = {(account.name, box.name) for account, box in boxes}
    for cloud, location, kind in offered:
        if cloud in static and ((cloud, location) not in places or kind != SERVER_TYPE):
            yield f"parrotpark_gpu_offers: there is no {kind} {location} at {cloud}: give a box and type {SERVER_TYPE}"
    if static.issuperset(cloud for cloud, _, _ in offered):
        free = [slot for slot in known if slot not in [box.slot for _, box in boxes]]
        if static and free:
            yield f"parrotpark_gpu_slots: nothing can serve in {', '.join(free)}: give fewer, or offer a cloud"


def _malformed(box: Box) -> Iterator[tuple[str, str]]:
    yield from ((name, what) for name, form, what in _FORMS if not form.fullmatch(str(getattr(box, name))))
    if not 0 < box.port < 65536:
        yield "port", "a number from 1 to 65535"
    if box.then and not _UNIT.fullmatch(box.then):
        yield "then", "the name of a target or a service"
    if box.wake_mac and not is_mac(box.wake_mac):
        yield "wake_mac", MAC


def _not_in_lan(machine: Box) -> Iterator[tuple[str, str]]:
    try:
        ipaddress.IPv4Address(machine.lan_address)
    except ValueError:
        yield "lan_address", "its IPv4 address in the network of those that it computes with"
    if not _INTERFACE.fullmatch(machine.lan_interface):
        yield "lan_interface", "the name of its interface there, such as eno1"


def lan(box: Box, machine: Box) -> dict[str, object]:
    """Say how one of a box's machines reaches the others, in the words of `vllm_ray`; nothing if it has no helpers."""
    if not box.helpers:
        return {}
    addresses = [each.lan_address for each in box.machines]
    return {"hosts": addresses, "address": machine.lan_address, "interface": machine.lan_interface}


def ray(lan: Mapping[str, Any], model: str, served: Sequence[Mapping[str, Any]], token_file: str) -> dict[str, Any]:
    """Say how the model is computed on several machines, in the words of `vllm_ray`; `lan` is as of the function."""
    config = next(each["config"] for each in served if each["name"] == model)
    return {**lan, "model": model, "token_file": token_file, "cards": config.get(TENSOR_PARALLEL, 1)}


def lan_open_ports(lan: Mapping[str, Any]) -> list[dict[str, object]]:
    """Open what Ray needs to the other machines, in the words of `base_open_ports`; `lan` is as of the function."""
    if not lan:
        return []
    others = [address for address in lan["hosts"] if address != lan["address"]]
    common = {"protocol": "tcp", "interface": lan["interface"], "sources": others}
    return [{**common, "port": first, "last_port": last} for first, last in RAY_PORTS]


def connection(box: Box, ssh_directory: PurePath) -> dict[str, object]:
    """Return the connection variables of a box: straight to it, by the host key that its owner gave.

    Raises:
        InvalidRequest: what would become part of a command is malformed.
    """
    if wrong := [f"{name} must be {what}" for name, what in _malformed(box)]:
        raise InvalidRequest(f"box {box.name!r}: {'; '.join(wrong)}")
    # No file is written for it, so that a check of an inventory that was never run reaches it as well.
    options = {
        "HostKeyAlias": box.name,
        "UserKnownHostsFile": "/dev/null",
        "KnownHostsCommand": f"/bin/echo {box.name} {box.host_key}",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlgorithms": "ssh-ed25519",
        "IdentitiesOnly": "yes",
    }
    return {
        "ansible_host": box.address,
        "ansible_port": box.port,
        "ansible_user": box.user,
        "ansible_become": box.user != "root",
        "ansible_ssh_private_key_file": str(Path(box.ssh_key_file or ssh_directory / PRIVATE_KEY).expanduser()),
        "ansible_ssh_common_args": as_arguments(options),
    }
