"""Keep new requests away from a slot while its running answers finish.

A packet filter on the entry server, which every request passes, refuses new connections to the slot: Caddy then asks
the next slot at once, and nothing has to be restarted or reconfigured.
"""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from parrotpark.fleet.errors import GateError
from parrotpark.shared.clock import Clock

TABLE = "inet parrotpark_drain"
ESTABLISHED = "01"  # in /proc/net/tcp, see Documentation/networking/proc_net_tcp.rst of Linux


class Gate(Protocol):
    """Decides who may begin to talk to the slots."""

    def close(self, addresses: Collection[str]) -> None:
        """Refuse new connections to these addresses, and allow them to all others.

        Raises:
            GateError: the packet filter cannot be changed.
        """

    def connections(self, addresses: Collection[str]) -> int:
        """Count the connections to these addresses that are open."""


class PacketFilter:
    """The gate of this machine: one nftables table that is ours alone, and the kernel's list of connections."""

    def __init__(self, ports: Collection[int], *, proc: Path = Path("/proc/net")) -> None:
        self._ports = ports
        self._proc = proc

    def close(self, addresses: Collection[str]) -> None:
        try:
            done = subprocess.run(
                ["nft", "-f", "-"],
                input=rules(addresses, self._ports),
                check=False,
                capture_output=True,
                text=True,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GateError(f"new requests cannot be kept away: {error}") from error
        if done.returncode != 0:
            raise GateError(f"new requests cannot be kept away: nft: {' '.join(done.stderr.split())}")

    def connections(self, addresses: Collection[str]) -> int:
        ends = [
            end
            for name in ("tcp", "tcp6")
            if (path := self._proc / name).exists()
            for end in established(path.read_text(encoding="ascii"))
        ]
        return sum(address in addresses and port in self._ports for address, port in ends)


def rules(addresses: Collection[str], ports: Collection[int]) -> str:
    """Write one transaction for nft: delete the table, and make it again if an address is to be closed.

    It checks the flags of a packet, not the state of its connection: to a connection tracker that has just been
    loaded, a running answer would be a new connection.
    """
    lines = [f"add table {TABLE}", f"delete table {TABLE}"]
    if addresses:
        lines += [
            f"add table {TABLE}",
            f"add chain {TABLE} output {{ type filter hook output priority 0; policy accept; }}",
            *(
                f"add rule {TABLE} output {'ip6' if ':' in address else 'ip'} daddr {address} "
                f"tcp dport {{ {', '.join(map(str, ports))} }} tcp flags & (syn | ack) == syn reject with tcp reset"
                for address in sorted(addresses)
            ),
        ]
    return "\n".join(lines) + "\n"


def established(text: str) -> Iterable[tuple[str, int]]:
    """Yield the far end, address and port, of every open connection in the text of /proc/net/tcp or tcp6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == ESTABLISHED:
            address, _, port = fields[2].partition(":")
            yield _address(bytes.fromhex(address)), int(port, 16)


def _address(raw: bytes) -> str:
    # The kernel prints 32-bit words in the machine's byte order.
    words = [raw[index : index + 4] for index in range(0, len(raw), 4)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def drain(gate: Gate, clock: Clock, addresses: Collection[str], seconds: float) -> int:
    """Close the gate to the addresses, wait until nobody talks to them, and return how many still do after `seconds`.

    The gate stays closed: the caller opens it once the servers are gone.

    Raises:
        GateError: new requests cannot be kept away.
    """
    gate.close(addresses)
    end = clock.now() + seconds
    while (open_now := gate.connections(addresses)) and clock.now() < end:
        clock.sleep(min(0.5, max(end - clock.now(), 0.01)))
    return open_now
