"""A GPU host ends by itself once its lease is over, and not a moment earlier, whatever the clock or the network do."""

from __future__ import annotations

import errno
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.gpu_host import deadman
from parrotpark.gpu_host.deadman import GRACE, WITHOUT_LEASE, Facts, believe, decide
from parrotpark.shared.slot_document import LONGEST_LEASE

NOW = 1_800_000_000
ends = st.none() | st.floats(-LONGEST_LEASE, 10 * LONGEST_LEASE)


# ---- The decision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "end"),
    [
        (Facts(60), WITHOUT_LEASE),
        (Facts(60, promised=900), 900),
        (Facts(700, promised=900, heard=1600), 1600),
        (Facts(700, promised=900, remembered=1600), 1600),
        (Facts(700, promised=900, heard=1000, remembered=1600), 1600),
        (Facts(60, promised=-500), GRACE),
    ],
)
def test_the_latest_end_counts(facts: Facts, end: float) -> None:
    assert decide(facts).end == end


@given(ends, ends, ends)
def test_no_host_ends_before_it_could_hear_and_none_lives_without_an_end(
    promised: float | None, heard: float | None, remembered: float | None
) -> None:
    end = decide(Facts(0, promised, heard, remembered)).end
    assert GRACE <= end <= max(WITHOUT_LEASE, 10 * LONGEST_LEASE)
    assert all(end >= told for told in (promised, heard, remembered) if told is not None)


def test_a_host_whose_entry_server_is_gone_ends_with_its_lease() -> None:
    """Simulated minutes: the lease is renewed until the entry server dies, and its last end is kept."""
    remembered = None
    for uptime in range(0, 4000, 60):
        heard = uptime + 900.0 if uptime <= 1800 else None
        facts = Facts(uptime, promised=900, heard=heard, remembered=remembered)
        if uptime >= decide(facts).end:
            break
        remembered = facts.latest
    assert uptime == 2700


@pytest.mark.parametrize("left", [-LONGEST_LEASE, -10, 0, 900, LONGEST_LEASE])
def test_an_end_is_counted_from_boot(left: int) -> None:
    assert believe(NOW + left, NOW, uptime=50) == 50 + left


@pytest.mark.parametrize("left", [LONGEST_LEASE + 1, -LONGEST_LEASE - 1, 10**9, -NOW])
def test_an_absurd_end_is_not_believed(left: int) -> None:
    assert believe(NOW + left, NOW, uptime=50) is None


# ---- What it knows and hears ------------------------------------------------------------------------------------


@contextmanager
def entry_server(body: str, *, clock: float | None = None, status: int = 200) -> Iterator[str]:
    """An entry server that answers /gpu-1 only; yields the URL for the command."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status if self.path == "/gpu-1" else 404)
            if clock is not None:
                self.send_header("Date", formatdate(clock, usegmt=True))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{{hostname}}"
        server.shutdown()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "slot.json"


def joined(document: Path, until: float) -> None:
    document.write_text(json.dumps({"hostname": "gpu-1", "lease": {"until": int(until)}, "secret": "topsecret"}))


def look(url: str, document: Path) -> Facts:
    return deadman.look(url, document, document.with_name("end"))


def left(facts: Facts) -> float:
    return decide(facts).end - facts.uptime


def test_a_host_without_a_slot_asks_nobody(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = look("http://127.0.0.1:9/{hostname}", document)
    assert (facts.promised, facts.heard, facts.remembered) == (None, None, None)
    assert capsys.readouterr().err == ""


def test_the_entry_server_renews_the_lease(document: Path) -> None:
    joined(document, time.time() + 100)
    with entry_server(f"{int(time.time()) + 900}\n") as url:
        assert left(look(url, document)) == pytest.approx(900, abs=3)


@pytest.mark.parametrize("off", [-(10**9), -36000, 36000, 10**8])
def test_a_wrong_clock_of_this_host_changes_nothing_while_the_entry_server_answers(document: Path, off: int) -> None:
    right = time.time() - off
    joined(document, right - LONGEST_LEASE)  # over, and absurd by the wrong clock, so that only what is heard counts
    with entry_server(f"{int(right) + 900}", clock=right) as url:
        facts = look(url, document)
    assert facts.heard is not None
    assert facts.heard - facts.uptime == pytest.approx(900, abs=3)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("<html>", 200, "it is not epoch seconds"),
        ("", 200, "it is not epoch seconds"),
        ("9" * 12, 200, "is absurd"),
        ("0", 200, "is absurd"),
        ("gone", 404, "HTTP Error 404"),
        ("ü", 200, "codec can't decode"),
    ],
)
def test_an_answer_without_sense_is_said_and_not_believed(
    document: Path, capsys: pytest.CaptureFixture[str], body: str, status: int, said: str
) -> None:
    joined(document, time.time() + 100)
    with entry_server(body, status=status) as url:
        facts = look(url, document)
    assert facts.heard is None
    assert left(facts) <= max(100, GRACE)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_answers_without_http_is_said(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined(document, time.time() + 100)
    assert look("http://127.0.0.1:9/{hostname}", document).heard is None
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hostname": "gpu-1"}', '{"lease": {"until": "topsecret"}}'])
def test_a_document_without_sense_is_said_without_being_quoted(
    document: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    document.write_text(text)
    assert decide(look("http://127.0.0.1:9/{hostname}", document)).end == WITHOUT_LEASE
    said = capsys.readouterr().err
    assert "slot.json cannot be used" in said
    assert "topsecret" not in said


def test_boot_is_when_the_first_process_began() -> None:
    assert 0 < deadman.since_boot() <= time.clock_gettime(time.CLOCK_BOOTTIME)


# ---- The command ------------------------------------------------------------------------------------------------


class Host:
    """A host with a slot whose lease is over, in a folder; remembers which programs were run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[list[str]] = []
        self.status = 0
        self.uptime = 5000.0
        self.document, self.memory = folder / "slot.json", folder / "run/end"
        joined(self.document, time.time() - 60)
        monkeypatch.setattr(deadman, "PATH", str(self.document))
        monkeypatch.setattr(deadman, "MEMORY", self.memory)
        monkeypatch.setattr(deadman, "since_boot", lambda: self.uptime)
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.ran.append(command)
        return subprocess.CompletedProcess(command, self.status, "", "it is\nnot allowed")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


NOBODY = ["--lease-url", "http://127.0.0.1:9/{hostname}"]


def test_a_host_whose_lease_is_over_is_powered_off(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]
    assert re.search("powering off, 6[0-9] s overdue: its lease is over", capsys.readouterr().err)


def test_check_only_says_so(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert deadman.main([*NOBODY, "--check"]) == 0
    assert host.ran == []
    assert not host.memory.exists()
    assert "powering off" in capsys.readouterr().err


def test_what_was_heard_once_is_remembered(host: Host) -> None:
    with entry_server(f"{int(time.time()) + 900}") as url:
        assert deadman.main(["--lease-url", url]) == 0
    host.uptime += 880
    assert deadman.main(NOBODY) == 0
    assert host.ran == []
    host.uptime += 30
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]


def test_a_memory_that_broke_off_is_no_memory(host: Host) -> None:
    host.memory.parent.mkdir()
    host.memory.write_text("")
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]


def test_a_memory_that_cannot_be_used_keeps_no_host_alive(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.memory.mkdir(parents=True)
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]
    said = capsys.readouterr().err
    assert "the latest end cannot be read: [Errno 21]" in said
    assert "the latest end cannot be kept: [Errno 21]" in said


def test_a_full_disk_keeps_no_host_alive(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]


def test_a_journal_that_is_gone_keeps_no_host_alive(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]


def test_a_host_that_has_just_started_gets_its_grace(host: Host) -> None:
    host.uptime = GRACE - 1.0
    assert deadman.main(NOBODY) == 0
    assert host.ran == []


def test_a_host_that_is_baked_for_too_long_is_powered_off(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.document.unlink()
    assert deadman.main(NOBODY) == 0
    assert host.ran == []
    host.uptime = WITHOUT_LEASE + 1
    assert deadman.main(NOBODY) == 0
    assert host.ran == [["systemctl", "poweroff"]]
    assert "1 s overdue: it has no lease that can be believed" in capsys.readouterr().err


def test_a_refusal_to_power_off_is_said(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.status = 4
    assert deadman.main(NOBODY) == 1
    assert "systemctl poweroff: it is not allowed" in capsys.readouterr().err
