"""New requests are refused at once, running ones go on: on a simulated gate, and on a real packet filter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parrotpark.fleet.drain import PacketFilter, drain, established, rules
from parrotpark.fleet.errors import GateError

if TYPE_CHECKING:
    from tests.unit.parrotpark.fleet.conftest import Controller

# As Linux on a little-endian machine prints it: to 10.78.0.11:8001 one open, one closing; to ::ffff:10.78.0.12 one.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 01004E0A:9C40 0B004E0A:1F41 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 01004E0A:9C41 0B004E0A:1F41 06 00000000:00000000 00:00000000 00000000     0        0 3
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF000001004E0A:9C42 0000000000000000FFFF00000C004E0A:1F42 01 00000000:00000000
   1: 00000000000000000000000001000000:9C42 00000000000000000000000001000000:1F42 01 00000000:00000000
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the example is of a little-endian machine")
def test_the_kernels_list_of_connections_is_understood(tmp_path: Path) -> None:
    assert list(established(TCP)) == [("10.78.0.11", 8001)]
    assert list(established(TCP6)) == [("10.78.0.12", 8002), ("::1", 8002)]
    (tmp_path / "tcp").write_text(TCP)
    (tmp_path / "tcp6").write_text(TCP6)
    gate = PacketFilter((8001, 8002), proc=tmp_path)
    assert gate.connections({"10.78.0.11", "10.78.0.12"}) == 2
    assert PacketFilter((22,), proc=tmp_path).connections({"10.78.0.11"}) == 0


def test_an_open_gate_leaves_no_table() -> None:
    assert rules((), (8001,)) == "add table inet parrotpark_drain\ndelete table inet parrotpark_drain\n"


def test_waiting_ends_with_the_last_answer(controller: Controller) -> None:
    start = controller.clock.now()
    controller.gate.answering_until = start + 7
    assert drain(controller.gate, controller.clock, {"10.78.0.11"}, 60) == 0
    assert controller.clock.now() - start == 7
    assert controller.gate.closed == {"10.78.0.11"}


def test_waiting_is_bounded(controller: Controller) -> None:
    controller.gate.answering_until = controller.clock.now() + 3600
    start = controller.clock.now()
    assert drain(controller.gate, controller.clock, {"10.78.0.11"}, 60) == 1
    assert controller.clock.now() - start == 60


def test_a_host_without_a_packet_filter_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GateError, match=r"new requests cannot be kept away: .*'nft'"):
        PacketFilter((8001,)).close({"10.78.0.11"})
    (tmp_path / "nft").write_text("#!/bin/sh\necho 'Operation not permitted\n(you must be root)' >&2\nexit 1\n")
    (tmp_path / "nft").chmod(0o755)
    with pytest.raises(GateError, match=r"nft: Operation not permitted \(you must be root\)"):
        PacketFilter((8001,)).close(())


# In a network namespace of its own, so that the machine of the test is left alone.
REAL = """
import socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from parrotpark.fleet.drain import PacketFilter

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
draining, other = (socket.create_server((address, 8001)) for address in ("127.0.0.11", "127.0.0.12"))
running = socket.create_connection(("127.0.0.11", 8001))
server, _ = draining.accept()
gate = PacketFilter((8001, 8002))
assert gate.connections({"127.0.0.11"}) == 1
for _ in range(2):
    gate.close({"127.0.0.11"})
    try:
        socket.create_connection(("127.0.0.11", 8001), timeout=5)
        sys.exit("a new connection is let in")
    except ConnectionRefusedError:
        pass
server.sendall(b"an")
running.sendall(b"swer")
assert running.recv(9) + server.recv(9) == b"answer"
socket.create_connection(("127.0.0.12", 8001), timeout=5)
running.close(), server.close()
assert gate.connections({"127.0.0.11"}) == 0
gate.close(())
socket.create_connection(("127.0.0.11", 8001), timeout=5)
assert not subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True).stdout
"""


def _own_network() -> bool:
    if not all(map(shutil.which, ("unshare", "ip", "nft"))):
        return False
    probe = ["unshare", "--map-root-user", "--net", "nft", "list", "ruleset"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(
    not _own_network(), reason="needs unshare, ip and nft, and the right to have a network of one's own"
)
def test_a_real_packet_filter_refuses_new_connections_and_lets_running_answers_end() -> None:
    source = Path(__file__).parents[4] / "src"
    program = ["unshare", "--map-root-user", "--net", sys.executable, "-c", REAL, str(source)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
