"""Relays from this machine's loopback to servers, so that a browser here reaches https://localhost:<port>.

A server asks for one by its label `localhost-port`. The relay sees only bytes: TLS ends at the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from localcloud.core.store import State

LABEL = "localhost-port"
HTTPS = 443
_log = logging.getLogger(__name__)


def wanted_ports(state: State) -> dict[int, str]:
    """List the ports to relay, each with the address of its server; of two servers the older gets the port."""
    ports: dict[int, str] = {}
    for server in state.servers.values():
        port, address = server.labels.get(LABEL, ""), state.address(server)
        if address and port.isdecimal() and 0 < int(port) < 2**16:
            ports.setdefault(int(port), address)
    return ports


class Relays:
    """The relays that run now."""

    def __init__(self) -> None:
        """Begin with none."""
        self._running: dict[int, tuple[str, asyncio.Server]] = {}
        self._refused: set[int] = set()

    async def converge(self, ports: Mapping[int, str]) -> None:
        """Run exactly these relays; a port that another program has is reported once and tried again each time."""
        for port, (address, server) in list(self._running.items()):
            if ports.get(port) != address:
                server.close()
                del self._running[port]
        for port, address in ports.items():
            if port in self._running:
                continue
            try:
                self._running[port] = (address, await _listen(port, address))
                self._refused.discard(port)
            except OSError:
                if port not in self._refused:
                    _log.error("port %d is taken by another program: stop it, or give the server another label", port)
                self._refused.add(port)

    def close(self) -> None:
        """Stop listening."""
        for _, server in self._running.values():
            server.close()


async def _listen(port: int, address: str) -> asyncio.Server:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(address, HTTPS)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        for end in (writer, there_writer):
            end.close()

    return await asyncio.start_server(relay, "127.0.0.1", port)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(2**16):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()
