#!/usr/bin/python3
"""Make this GPU host step into its slot: read a slot document and bring about the identity it describes.

This one file, with nothing but the standard library, is /usr/local/sbin/parrotpark-join on the GPU host. Running it
again with the same document changes nothing. It prints one line of JSON, {"changed": bool, "changes": [...]}, and
never a secret.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import ipaddress
import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

WIREGUARD_UNIT = "wg-quick@wg0.service"
SSH_UNIT = "ssh.service"
MODELS_UNIT = "parrotpark-models.target"
LEASE = "/etc/parrotpark/credentials/lease_until"
OPENSSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
OPENSSH_END = "-----END OPENSSH PRIVATE KEY-----"


# ---- The slot document ------------------------------------------------------------------------------------------


class DocumentError(Exception):
    """The slot document is wrong; `problems` has one line each and contains no secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Document:
    """A valid slot document."""

    hostname: str
    wireguard_private_key: str = field(repr=False)
    wireguard_address: str  # with prefix
    wireguard_listen_port: int
    peer_public_key: str
    peer_endpoint: str
    peer_allowed_ips: tuple[str, ...]
    peer_keepalive: int  # seconds
    ssh_host_key: str = field(repr=False)
    ssh_host_public_key: str
    vllm_api_key: str = field(repr=False)
    lease_until: int  # epoch seconds


class Reader:
    """Takes one value after the other out of a JSON object, and notes every problem with its full name."""

    def __init__(self, values: object, problems: list[str], name: str = "") -> None:
        self._name = name
        self._known: set[str] = set()
        self._values: dict[str, object] = values if isinstance(values, dict) else {}
        self._problems = problems
        if not isinstance(values, dict):
            problems.append(f"{name or 'the document'} must be an object")
            self._problems = []  # what such a thing lacks need not be said

    def _take(self, key: str) -> object:
        self._known.add(key)
        return self._values.get(key)

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def object(self, key: str) -> Reader:
        return Reader(self._take(key), self._problems, self._full(key))

    def text(self, key: str, valid: Callable[[str], bool], what: str) -> str:
        value = self._take(key)
        if isinstance(value, str) and valid(value):
            return value
        self._problems.append(f"{self._full(key)} must be {what}")
        return ""

    def number(self, key: str, low: int, high: int) -> int:
        value = self._take(key)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self._problems.append(f"{self._full(key)} must be a whole number from {low} to {high}")
        return 0

    def texts(self, key: str, valid: Callable[[str], bool], what: str) -> tuple[str, ...]:
        value = self._take(key)
        if isinstance(value, list) and value and all(isinstance(item, str) and valid(item) for item in value):
            return tuple(value)
        self._problems.append(f"{self._full(key)} must be a list of one or more of: {what}")
        return ()

    def end(self) -> None:
        """Refuse what nobody asked for: it is a typing error, or a document for a newer program."""
        self._problems.extend(f"{self._full(key)} is unknown" for key in sorted(self._values.keys() - self._known))


def parse_document(text: str, now: float, joined_until: int | None = None) -> Document:
    """Read and judge a slot document.

    Args:
        text: the document.
        now: epoch seconds.
        joined_until: the end of the lease under which this host joined before. The same document is good for ever: it
            is read again at every boot, long after its lease has been renewed elsewhere.

    Raises:
        DocumentError: with every problem found.
    """
    try:
        values = json.loads(text)
    except ValueError:
        # The error would quote the text, and with it secrets.
        raise DocumentError(["the document is not JSON"]) from None
    problems: list[str] = []
    top = Reader(values, problems)
    slot = top.text("slot", is_hostname, "a name of lower-case letters, digits and '-'")
    hostname = top.text("hostname", is_hostname, "a name of lower-case letters, digits and '-'")
    wireguard = top.object("wireguard")
    peer = wireguard.object("peer")
    credentials = top.object("credentials")
    lease = top.object("lease")
    document = Document(
        hostname=hostname,
        wireguard_private_key=wireguard.text("private_key", is_wireguard_key, "32 bytes as base64"),
        wireguard_address=wireguard.text("address", is_interface, "an address with prefix, like 10.78.0.11/24"),
        wireguard_listen_port=wireguard.number("listen_port", 1, 65535),
        peer_public_key=peer.text("public_key", is_wireguard_key, "32 bytes as base64"),
        peer_endpoint=peer.text("endpoint", is_endpoint, "host:port"),
        peer_allowed_ips=peer.texts("allowed_ips", is_network, "a network, like 10.78.0.1/32"),
        peer_keepalive=peer.number("keepalive", 0, 65535),
        ssh_host_key=top.text("ssh_host_ed25519_key", is_ssh_key, "an ed25519 key in OpenSSH's format"),
        ssh_host_public_key="",
        vllm_api_key=credentials.text("vllm_api_key", is_token, "a text without white space"),
        lease_until=lease.number("until", 0, 10**12),
    )
    for reader in (top, wireguard, peer, credentials, lease):
        reader.end()
    if slot and hostname and slot != hostname:
        problems.append(f"hostname {hostname!r} must be the slot's name {slot!r}")
    if not problems and document.lease_until <= now and document.lease_until != joined_until:
        problems.append(f"lease.until is over since {now - document.lease_until:.0f} s: ask for a new lease")
    if problems:
        raise DocumentError(problems)
    public = ssh_public_key(document.ssh_host_key)
    return Document(**{**vars(document), "ssh_host_public_key": public})


def is_hostname(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text) is not None


def is_wireguard_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32 and len(text) == 44
    except (ValueError, binascii.Error):
        return False


def is_interface(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_endpoint(text: str) -> bool:
    match = re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    return match is not None and 0 < int(match[2]) < 65536


def is_token(text: str) -> bool:
    return re.fullmatch(r"[!-~]+", text) is not None


def is_ssh_key(text: str) -> bool:
    return ssh_public_key(text) != ""


def ssh_public_key(private: str) -> str:
    """Return the public half, as in a `.pub` file, or nothing where `private` is no OpenSSH ed25519 key.

    The format (PROTOCOL.key in OpenSSH) keeps it in the clear: a magic word, three strings about the cipher, the
    number of keys, and then the public key; numbers are 32 bit, and a string begins with its length.
    """
    lines = private.strip().splitlines()
    if not private.endswith("\n") or len(lines) < 3 or lines[0] != OPENSSH_BEGIN or lines[-1] != OPENSSH_END:
        return ""
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (ValueError, binascii.Error):
        return ""
    magic, rest = blob[:15], blob[15:]
    cipher, rest = _string(rest)
    _, rest = _string(rest)
    _, rest = _string(rest)
    count, rest = rest[:4], rest[4:]
    public, _ = _string(rest)
    kind, key = _string(public)
    if magic != b"openssh-key-v1\0" or cipher != b"none" or count != b"\0\0\0\1" or kind != b"ssh-ed25519":
        return ""
    return f"ssh-ed25519 {base64.b64encode(public).decode()}" if len(key) == 36 else ""


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    return data[4 : 4 + length], data[4 + length :]


# ---- What the document means for files and services -------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file that shall be so, and the unit that has to hear of a change."""

    path: str
    content: str
    unit: str | None = None
    mode: int = 0o600


def files(document: Document) -> tuple[File, ...]:
    """List all files that carry the slot's identity; the models' gate is written last."""
    return (
        File("/etc/hostname", f"{document.hostname}\n", mode=0o644),
        File(LEASE, f"{document.lease_until}\n"),
        File("/etc/ssh/ssh_host_ed25519_key", document.ssh_host_key, SSH_UNIT),
        File("/etc/ssh/ssh_host_ed25519_key.pub", f"{document.ssh_host_public_key}\n", SSH_UNIT, 0o644),
        File("/etc/wireguard/wg0.conf", wireguard_configuration(document), WIREGUARD_UNIT),
        # systemd starts no model server before this file is there (ConditionFileNotEmpty).
        File("/etc/parrotpark/credentials/vllm_api_key", document.vllm_api_key, MODELS_UNIT),
    )


def wireguard_configuration(document: Document) -> str:
    """Write the overlay's end on this host, for wg-quick."""
    return f"""# Written by parrotpark-join from the slot document.
[Interface]
PrivateKey = {document.wireguard_private_key}
Address = {document.wireguard_address}
ListenPort = {document.wireguard_listen_port}

[Peer]
PublicKey = {document.peer_public_key}
Endpoint = {document.peer_endpoint}
AllowedIPs = {", ".join(document.peer_allowed_ips)}
PersistentKeepalive = {document.peer_keepalive}
"""


# ---- The host ---------------------------------------------------------------------------------------------------


class HostError(Exception):
    """The host could not be changed; the message is one line."""


class Host(Protocol):
    """The parts of a machine that a join touches."""

    def hostname(self) -> str: ...

    def set_hostname(self, name: str) -> None: ...

    def active(self, unit: str) -> bool: ...

    def systemctl(self, *arguments: str) -> None: ...


class Machine:
    """The machine this program runs on."""

    def hostname(self) -> str:
        return socket.gethostname()

    def set_hostname(self, name: str) -> None:
        socket.sethostname(name)

    def active(self, unit: str) -> bool:
        return subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0

    def systemctl(self, *arguments: str) -> None:
        """Raises `HostError` with what systemctl says."""
        done = subprocess.run(["systemctl", *arguments], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise HostError(f"systemctl {' '.join(arguments)}: {reason}")


class Pending:
    """Units that must still hear of a change, remembered until they have.

    Without this, a join that is killed between writing a file and restarting its unit would leave the next one
    nothing to see. It lies in /run: after a reboot every unit has read the new files anyway.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "run/parrotpark-join.pending"

    def units(self) -> set[str]:
        try:
            return set(self._path.read_text(encoding="utf-8").split())
        except FileNotFoundError:
            return set()

    def save(self, units: Iterable[str]) -> None:
        if text := "\n".join(sorted(units)):
            write(self._path, text, 0o600)
        else:
            self._path.unlink(missing_ok=True)


def join(document: Document, host: Host, *, root: Path = Path("/"), check: bool = False) -> list[str]:
    """Bring about what the document describes, or with `check` only say it; return what changed, one text each.

    Raises:
        HostError: a service could not be started.
        OSError: a file could not be written.
    """
    wanted = files(document)
    changed = [file for file in wanted if _differs(root, file)]
    pending = Pending(root)
    stale = pending.units() | {file.unit for file in changed if file.unit is not None}
    changes = [f"write {file.path}" for file in changed]
    if host.hostname() != document.hostname:
        changes.append(f"set the hostname to {document.hostname}")
    steps = [step for unit, plan in _PLANS.items() if (step := plan(unit, host, unit in stale))]
    changes += [" ".join(step) for step in steps]
    if check:
        return changes

    pending.save(stale)
    for file in changed:
        write(root / file.path.lstrip("/"), file.content, file.mode)
    if host.hostname() != document.hostname:
        host.set_hostname(document.hostname)
    for step in steps:
        host.systemctl(*step)
    pending.save(())
    return changes


def _overlay_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    if not host.active(unit):
        return ("enable", "--now", unit)
    return ("restart", unit) if stale else ()


def _ssh_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    # A reload keeps the connection over which this join may be running. Where the socket starts the server, an
    # inactive one reads the new key by itself.
    return ("reload", unit) if stale and host.active(unit) else ()


def _models_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    # Models take minutes to load: whoever waits for them asks the model endpoint.
    if not host.active(unit):
        return ("start", "--no-block", unit)
    return ("restart", "--no-block", unit) if stale else ()


# In the order of steps: the overlay is up before the models answer on it.
_PLANS: Mapping[str, Callable[[str, Host, bool], tuple[str, ...]]] = {
    WIREGUARD_UNIT: _overlay_step,
    SSH_UNIT: _ssh_step,
    MODELS_UNIT: _models_step,
}


def joined_until(path: Path) -> int | None:
    """Return the end of the lease under which this host joined, None for one that has not."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _differs(root: Path, file: File) -> bool:
    path = root / file.path.lstrip("/")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        return mode != file.mode or path.read_bytes() != file.content.encode()
    except FileNotFoundError:
        return True


def write(path: Path, content: str, mode: int) -> None:
    """Put `content` in place atomically; a folder that has to be made is root's only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


# ---- The command ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 2 stands for a wrong document, 1 for a host that could not be changed."""
    parser = argparse.ArgumentParser(prog="parrotpark-join", description="Make this GPU host step into its slot.")
    parser.add_argument("--document", type=Path, help="file with the slot document (default: standard input)")
    parser.add_argument("--check", action="store_true", help="only say what would change")
    options = parser.parse_args(arguments)
    try:
        text = options.document.read_text(encoding="utf-8") if options.document else sys.stdin.read()
        document = parse_document(text, time.time(), joined_until(Path(LEASE)))
        changes = join(document, Machine(), check=options.check)
    except DocumentError as error:
        for problem in error.problems:
            print(f"parrotpark-join: {problem}", file=sys.stderr)
        return 2
    except (HostError, OSError) as error:
        print(f"parrotpark-join: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"changed": bool(changes), "changes": changes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
