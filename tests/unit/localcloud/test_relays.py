"""Relays from the loopback to servers."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from localcloud.machine.relays import Relays, wanted_ports
from tests.cloud_in_memory import LocalCloud


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def shouting_server(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where relays lead to: a port that answers in capitals once its client has said all."""
    port = free_port()
    monkeypatch.setattr("localcloud.machine.relays.HTTPS", port)
    return port


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_the_label_asks_for_a_relay(cloud: LocalCloud) -> None:
    for name, port in (("one", "8443"), ("two", "8443"), ("odd", "http")):
        labels = {"localhost-port": port}
        cloud.do("/servers", {"name": name, "server_type": "cx23", "image": "debian-13", "labels": labels})
    assert wanted_ports(cloud.store.state) == {8443: "10.77.0.10"}


def test_bytes_pass_both_ways_until_both_ends_are_done(shouting_server: int) -> None:
    async def scenario() -> None:
        relays, port = Relays(), free_port()
        async with await asyncio.start_server(shout, "127.0.0.1", shouting_server):
            await relays.converge({port: "127.0.0.1"})
            assert await ask(port) == b"HELLO"
            await relays.converge({})
            with pytest.raises(ConnectionRefusedError):
                await ask(port)
        relays.close()

    asyncio.run(scenario())


@pytest.mark.usefixtures("shouting_server")
def test_nobody_behind_the_relay_ends_the_connection() -> None:
    async def scenario() -> None:
        relays, port = Relays(), free_port()
        await relays.converge({port: "127.0.0.1"})
        assert await ask(port) == b""
        relays.close()

    asyncio.run(scenario())


def test_a_taken_port_is_reported_once_and_taken_when_free(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        relays = Relays()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            await relays.converge({port: "127.0.0.1"})
            await relays.converge({port: "127.0.0.1"})
        messages = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert messages == [f"port {port} is taken by another program: stop it, or give the server another label"]
        await relays.converge({port: "127.0.0.1"})
        assert await ask(port) == b""
        relays.close()

    asyncio.run(scenario())
