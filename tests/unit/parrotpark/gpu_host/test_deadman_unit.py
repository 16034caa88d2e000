"""A host that is always there follows its lease: its models run while the entry server says so, and not without it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parrotpark.gpu_host import deadman

UNIT, THEN = "parrotpark-models.target", "suspend.target"
NOW = 1_800_000_000  # by the entry server's clock, when the host boots


class EntryServer(ThreadingHTTPServer):
    """Says when the lease of gpu-1 ends; None is a server that knows of no such file, as one that has just booted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.now = NOW
        self.until: str | None = None
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/gpu-1"


class Handler(BaseHTTPRequestHandler):
    server: EntryServer

    def do_GET(self) -> None:
        known = self.path == "/gpu-1" and self.server.until is not None
        self.send_response_only(self.server.status if known else 404)
        self.send_header("Date", formatdate(self.server.now, usegmt=True))
        self.end_headers()
        self.wfile.write(f"{self.server.until}\n".encode() if known else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Machine:
    """A host with systemd, as its dead-man sees it."""

    def __init__(self, folder: Path, entry: EntryServer) -> None:
        self.entry = entry
        self.memory = folder / "run/end"
        self.uptime = 100.0
        self.runs = False
        self.refuses = False
        self.started: list[str] = []

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        match command[1:]:
            case ["is-active", "--quiet", unit]:
                assert unit == UNIT
                return subprocess.CompletedProcess(command, 0 if self.runs else 3, "", "")
            case _ if self.refuses:
                return subprocess.CompletedProcess(command, 1, "", "it is\nnot allowed")
            case ["start", "--no-block", unit] if unit == UNIT:
                self.runs = True
            case ["stop", unit]:
                assert unit == UNIT
                self.runs = False
            case ["start", "--no-block", unit]:
                self.started.append(unit)
            case _:
                pytest.fail(f"nobody asked for {command}")
        return subprocess.CompletedProcess(command, 0, "", "")

    def look(self, *more: str, url: str = "") -> int:
        return deadman.main(["--lease-url", url or self.entry.url, "--unit", UNIT, "--then", THEN, *more])

    def passes(self, seconds: int) -> None:
        self.uptime += seconds
        self.entry.now += seconds

    def boots(self) -> None:
        self.uptime, self.runs = 10.0, False
        self.memory.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def entry() -> Iterator[EntryServer]:
    with EntryServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: EntryServer) -> Machine:
    entry.now, entry.until, entry.status = NOW, None, 200
    machine = Machine(tmp_path, entry)
    monkeypatch.setattr(deadman, "MEMORY", machine.memory)
    monkeypatch.setattr(deadman, "since_boot", lambda: machine.uptime)
    monkeypatch.setattr(subprocess, "run", machine.run)
    return machine


def lease(machine: Machine, left: int = 900) -> None:
    machine.entry.until = str(machine.entry.now + left)


@pytest.mark.parametrize("off", [-(10**9), 0, 10**8])
def test_a_lease_starts_the_models_and_its_end_stops_them_whatever_the_clock_of_this_host_says(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    monkeypatch.setattr("time.time", lambda: float(machine.entry.now + off))
    assert machine.look() == 0
    assert not machine.runs
    lease(machine)
    assert machine.look() == 0
    assert machine.runs
    machine.passes(890)
    assert machine.look() == 0
    assert machine.runs
    machine.passes(20)
    assert machine.look() == 0
    assert (machine.runs, machine.started) == (False, [THEN])


def test_a_lease_that_is_taken_back_ends_at_once_and_only_then_the_unit_after_it_starts(machine: Machine) -> None:
    lease(machine)
    machine.look()
    machine.entry.until = "0"
    machine.look()
    assert (machine.runs, machine.started) == (False, [THEN])
    machine.passes(10)
    machine.look()
    assert machine.started == [THEN]


def test_a_host_that_its_owner_woke_is_not_put_to_sleep_again(machine: Machine) -> None:
    machine.entry.until = "0"
    machine.look()
    machine.boots()
    machine.look()
    assert machine.started == []


@pytest.mark.parametrize("away", ["no answer", "no file", "an error", "nonsense"])
def test_the_last_answer_holds_while_there_is_no_other(machine: Machine, away: str) -> None:
    lease(machine)
    machine.look()
    url = "http://127.0.0.1:9/gpu-1" if away == "no answer" else ""
    machine.entry.status = 503 if away == "an error" else 200
    machine.entry.until = {"no file": None, "nonsense": "9" * 12}.get(away, "1")
    machine.passes(890)
    machine.look(url=url)
    assert machine.runs
    machine.passes(20)
    machine.look(url=url)
    assert not machine.runs


def test_a_host_that_has_booted_waits_for_an_answer(machine: Machine) -> None:
    lease(machine)
    machine.look()
    machine.boots()
    machine.look(url="http://127.0.0.1:9/gpu-1")
    assert not machine.runs
    machine.look()
    assert machine.runs


def test_what_systemd_refuses_is_said_and_tried_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    lease(machine)
    machine.refuses = True
    assert machine.look() == 1
    assert f"systemctl start --no-block {UNIT}: it is not allowed" in capsys.readouterr().err
    machine.refuses = False
    assert machine.look() == 0
    assert machine.runs
    machine.entry.until, machine.refuses = "0", True
    assert machine.look() == 1
    assert (machine.runs, machine.started) == (True, [])
    machine.refuses = False
    assert machine.look() == 0
    assert (machine.runs, machine.started) == (False, [THEN])


def test_a_memory_that_cannot_be_written_keeps_no_models_running(machine: Machine) -> None:
    machine.memory.mkdir(parents=True)
    lease(machine)
    machine.look()
    assert machine.runs
    machine.look(url="http://127.0.0.1:9/gpu-1")
    assert not machine.runs


def test_check_only_says_so(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    lease(machine)
    assert machine.look("--check") == 0
    assert (machine.runs, machine.memory.exists()) == (False, False)
    assert f"there is a lease: {UNIT} is started" in capsys.readouterr().err


def test_a_host_that_has_nothing_to_do_is_silent(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.entry.until = "0"
    machine.look()
    lease(machine)
    machine.look()
    assert len(capsys.readouterr().err.splitlines()) == 1
    machine.look()
    assert capsys.readouterr().err == ""


EVENTS = st.one_of(
    st.tuples(st.just("leased"), st.integers(10, 2000)),
    st.tuples(st.sampled_from(["released", "without a file", "refuses", "agrees", "boots", "by hand"]), st.just(0)),
    st.tuples(st.just("passes"), st.integers(1, 1500)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=25))
def test_whatever_happens_the_models_run_if_the_last_answer_says_so(
    tmp_path_factory: pytest.TempPathFactory, entry: EntryServer, events: list[tuple[tuple[str, int], bool]]
) -> None:
    entry.now, entry.until, entry.status = NOW, None, 200
    machine = Machine(tmp_path_factory.mktemp("host"), entry)
    heard: int | None = None  # the end in the last answer since boot, by the entry server's clock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadman, "MEMORY", machine.memory)
        patch.setattr(deadman, "since_boot", lambda: machine.uptime)
        patch.setattr(subprocess, "run", machine.run)
        for (event, number), reachable in events:
            match event:
                case "leased":
                    lease(machine, number)
                case "released":
                    entry.until = "0"
                case "without a file":
                    entry.until = None
                case "refuses" | "agrees":
                    machine.refuses = event == "refuses"
                case "by hand":
                    machine.runs = not machine.runs
                case "passes":
                    machine.passes(number)
                case "boots":
                    machine.boots()
                    heard = None
            ran, started = machine.runs, len(machine.started)
            status = machine.look(url="" if reachable else "http://127.0.0.1:9/gpu-1")
            if reachable and entry.until is not None:
                heard = int(entry.until)
            shall_run = heard is not None and entry.now < heard
            if machine.refuses:
                assert (status, machine.runs) == (1, ran)
            else:
                assert (status, machine.runs) == (0, shall_run)
                assert len(machine.started) - started == (ran and not shall_run)
