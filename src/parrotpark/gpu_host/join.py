"""Make this GPU host step into its slot: read a slot document and take on the identity it describes.

With what it imports of ours, and nothing but the standard library, it is /usr/local/sbin/parrotpark-join on the GPU
host. Running it again with the same document changes nothing. It prints one line of JSON, {"changed": bool,
"changes": [...]}, and never a secret.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parrotpark.shared import slot_document
from parrotpark.shared.files import differs, write_file
from parrotpark.shared.slot_document import DocumentError, SlotDocument
from parrotpark.shared.ssh_key import public_key

WIREGUARD_UNIT = "wg-quick@wg0.service"
SSH_UNIT = "ssh.service"
MODELS_UNIT = "parrotpark-models.target"
LEASE = "/etc/parrotpark/credentials/lease_until"


def load(text: str, now: float, joined_until: int | None = None) -> SlotDocument:
    """Read and judge the slot document of this host.

    Args:
        text: the document.
        now: epoch seconds.
        joined_until: the end of the lease under which this host joined before. The same document stays good: it
            is read again at every boot, long after its lease has been renewed elsewhere.

    Raises:
        DocumentError: with every problem found.
    """
    document = slot_document.parse(slot_document.loads(text), leased=True)
    until = document.lease_until or 0
    if until <= now and until != joined_until:
        raise DocumentError([f"lease.until was {now - until:.0f} s ago: ask for a new lease"])
    return document


# ---- What the document means for files and services -------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file as it should be, and the unit that must be told of a change."""

    path: str
    content: str
    unit: str | None = None
    mode: int = 0o600


def files(document: SlotDocument) -> tuple[File, ...]:
    """List all files that carry the slot's identity; the models' gate is written last."""
    return (
        File("/etc/hostname", f"{document.name}\n", mode=0o644),
        File(LEASE, f"{document.lease_until}\n"),
        File("/etc/ssh/ssh_host_ed25519_key", document.ssh_host_key, SSH_UNIT),
        File("/etc/ssh/ssh_host_ed25519_key.pub", f"{public_key(document.ssh_host_key)}\n", SSH_UNIT, 0o644),
        File("/etc/wireguard/wg0.conf", wireguard_configuration(document), WIREGUARD_UNIT),
        # systemd starts no model server before this file is there (ConditionFileNotEmpty).
        File("/etc/parrotpark/credentials/vllm_api_key", document.vllm_api_key, MODELS_UNIT),
    )


def wireguard_configuration(document: SlotDocument) -> str:
    """Write this host's end of the overlay, for wg-quick."""
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
    """Units that must still be told of a change, remembered until they have been.

    Without this, a join that is killed between writing a file and restarting its unit would leave the next one
    nothing to see. It is in /run: after a reboot every unit has read the new files anyway.
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
            write_file(self._path, text.encode(), 0o600)
        else:
            self._path.unlink(missing_ok=True)


def join(document: SlotDocument, host: Host, *, root: Path = Path("/"), check: bool = False) -> list[str]:
    """Do what the document describes, or with `check` only say what that is; return one text for each change.

    Raises:
        HostError: a service could not be started.
        OSError: a file could not be written.
    """
    wanted = files(document)
    changed = [file for file in wanted if differs(root / file.path.lstrip("/"), file.content.encode(), file.mode)]
    pending = Pending(root)
    stale = pending.units() | {file.unit for file in changed if file.unit is not None}
    changes = [f"write {file.path}" for file in changed]
    if host.hostname() != document.name:
        changes.append(f"set the hostname to {document.name}")
    steps = [step for unit, plan in _PLANS.items() if (step := plan(unit, host, unit in stale))]
    changes += [" ".join(step) for step in steps]
    if check:
        return changes

    pending.save(stale)
    for file in changed:
        write_file(root / file.path.lstrip("/"), file.content.encode(), file.mode)
    if host.hostname() != document.name:
        host.set_hostname(document.name)
    for step in steps:
        host.systemctl(*step)
    pending.save(())
    return changes


def _overlay_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    if not host.active(unit):
        return ("enable", "--now", unit)
    return ("restart", unit) if stale else ()


def _ssh_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    # A reload keeps the connection over which this join may be running. If the socket starts the server, an
    # inactive one reads the new key by itself.
    return ("reload", unit) if stale and host.active(unit) else ()


def _models_step(unit: str, host: Host, stale: bool) -> tuple[str, ...]:
    # Models take minutes to load: to wait for them, ask the model endpoint.
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


# ---- The command ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 2 means a wrong document, 1 a host that could not be changed."""
    parser = argparse.ArgumentParser(prog="parrotpark-join", description="Make this GPU host step into its slot.")
    parser.add_argument("--document", type=Path, help="file with the slot document (default: standard input)")
    parser.add_argument("--check", action="store_true", help="only say what would change")
    options = parser.parse_args(arguments)
    try:
        text = options.document.read_text(encoding="utf-8") if options.document else sys.stdin.read()
        document = load(text, time.time(), joined_until(Path(LEASE)))
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
