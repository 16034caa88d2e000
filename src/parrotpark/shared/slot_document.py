"""The slot document: the identity that the entry server keeps for a slot, and that a host in the slot takes on.

It travels as JSON, in the user data of a new server. This module is the only one that knows its keys.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from parrotpark.shared.reader import Reader
from parrotpark.shared.ssh_key import public_key

LONGEST_LEASE = 24 * 3600  # seconds; an end further away comes from a wrong clock or a wrong hand
NO_LEASE = 0  # what a host that is always there is told while it has no lease
PATH = "/etc/parrotpark/slot.json"  # on the GPU host


class DocumentError(Exception):
    """The slot document is wrong; `problems` has one line for each fault and contains no secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class SlotDocument:
    """Who a GPU host is, secrets included."""

    name: str  # of the slot, and the hostname of its host
    wireguard_private_key: str = field(repr=False)
    wireguard_address: str  # with prefix
    wireguard_listen_port: int
    peer_public_key: str
    peer_endpoint: str
    peer_allowed_ips: tuple[str, ...]
    peer_keepalive: int  # seconds
    ssh_host_key: str = field(repr=False)
    vllm_api_key: str = field(repr=False)
    lease_until: int | None = None  # epoch seconds; the entry server adds it when it makes a host for the slot

    @property
    def address(self) -> str:
        """The address in the overlay, without prefix."""
        return str(ipaddress.ip_interface(self.wireguard_address).ip)

    def to_dict(self) -> dict[str, object]:
        """Write it as what `parse` reads."""
        document: dict[str, object] = {
            "slot": self.name,
            "hostname": self.name,
            "wireguard": {
                "private_key": self.wireguard_private_key,
                "address": self.wireguard_address,
                "listen_port": self.wireguard_listen_port,
                "peer": {
                    "public_key": self.peer_public_key,
                    "endpoint": self.peer_endpoint,
                    "allowed_ips": list(self.peer_allowed_ips),
                    "keepalive": self.peer_keepalive,
                },
            },
            "ssh_host_ed25519_key": self.ssh_host_key,
            "credentials": {"vllm_api_key": self.vllm_api_key},
        }
        return document if self.lease_until is None else document | {"lease": {"until": self.lease_until}}


def loads(text: str) -> object:
    """Read JSON; raises `DocumentError`."""
    try:
        return json.loads(text)
    except ValueError:
        # The error would quote the text, and with it secrets.
        raise DocumentError(["the document is not JSON"]) from None


def parse(values: object, *, leased: bool) -> SlotDocument:
    """Judge a slot document: one with a lease, as a host gets it, or one without, as the entry server keeps it.

    Raises:
        DocumentError: with every problem found.
    """
    problems: list[str] = []
    top = Reader(values, problems)
    slot = top.text("slot", _is_hostname, "a name of lower-case letters, digits and '-'")
    hostname = top.text("hostname", _is_hostname, "a name of lower-case letters, digits and '-'")
    wireguard = top.object("wireguard")
    peer = wireguard.object("peer")
    credentials = top.object("credentials")
    lease = top.object("lease") if leased else None
    document = SlotDocument(
        name=slot,
        wireguard_private_key=wireguard.text("private_key", _is_wireguard_key, "32 bytes as base64"),
        wireguard_address=wireguard.text("address", _is_interface, "an address with prefix, like 10.78.0.11/24"),
        wireguard_listen_port=wireguard.number("listen_port", 1, 65535),
        peer_public_key=peer.text("public_key", _is_wireguard_key, "32 bytes as base64"),
        peer_endpoint=peer.text("endpoint", _is_endpoint, "host:port"),
        peer_allowed_ips=peer.texts("allowed_ips", _is_network, "a network, like 10.78.0.1/32"),
        peer_keepalive=peer.number("keepalive", 0, 65535),
        ssh_host_key=top.text(
            "ssh_host_ed25519_key", lambda text: public_key(text) != "", "an ed25519 key in OpenSSH's format"
        ),
        vllm_api_key=credentials.text("vllm_api_key", _is_token, "text without white space"),
        lease_until=lease.number("until", 0, 10**12) if lease else None,
    )
    for reader in (top, wireguard, peer, credentials, lease):
        if reader:
            reader.end()
    if slot and hostname and slot != hostname:
        problems.append(f"hostname {hostname!r} must be the slot's name {slot!r}")
    if problems:
        raise DocumentError(problems)
    return document


def name_and_lease(values: object) -> tuple[str, int]:
    """Read only the name of the slot and the end of the lease (epoch seconds): nothing else that is wrong may matter.

    Raises:
        DocumentError: one of them is missing.
    """
    try:
        return str(values["hostname"]), int(values["lease"]["until"])  # type: ignore[index] # judged by trying
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError([f"it has no name or no lease: {type(error).__name__}"]) from None


def _is_hostname(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text) is not None


def _is_wireguard_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32 and len(text) == 44
    except (ValueError, binascii.Error):
        return False


def _is_interface(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_endpoint(text: str) -> bool:
    match = re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    return match is not None and 0 < int(match[2]) < 65536


def _is_token(text: str) -> bool:
    return re.fullmatch(r"[!-~]+", text) is not None
