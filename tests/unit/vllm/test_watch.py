"""A model that hangs is told from one that starts, one that is busy and one that is only slow."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import load

START = 600
KEY = "a-key-of-the-model-server"


watch: Any = load("roles/vllm/files/watch.py")
ANSWERED = watch.Look(answered=True, heard=True)
DEAF = watch.Look()


def busy(counters: str) -> Any:
    return watch.Look(heard=True, counters=counters)


def judged(looks: Sequence[tuple[float, Any]]) -> str | None:
    """Let the judge see one look after the other; return its last word, after which nothing else may follow."""
    judge, said = watch.Judge(0, START), None
    for now, look in looks:
        assert said is None
        said = judge.objection(look, now)
    return said


def test_a_model_that_answers_is_left_alone() -> None:
    assert judged([(second, ANSWERED) for second in range(0, 7200, 10)]) is None


@pytest.mark.parametrize("look", [DEAF, busy("tokens 0"), watch.Look(heard=True, gone=True)])
def test_a_start_may_take_its_time_but_not_for_ever(look: Any) -> None:
    looks = [(float(second), look) for second in range(0, START + 1, 10)]
    assert judged(looks) is None
    assert judged([*looks, (START + 1.0, look)]) == "it did not start within 600 s"


def test_a_server_that_answers_nothing_hangs() -> None:
    assert judged([(0, ANSWERED), (20, DEAF)]) is None
    assert judged([(0, ANSWERED), (20, DEAF), (21, DEAF)]) == "it has answered nothing for 21 s"


def test_a_healthy_server_whose_engine_does_nothing_hangs() -> None:
    looks = [(0.0, ANSWERED), *((float(second), busy("tokens 7")) for second in (15, 30, 45))]
    assert judged(looks) is None
    assert judged([*looks, (46.0, busy("tokens 7"))]) == "its engine has got nothing done for 46 s"


def test_a_long_queue_is_no_hang() -> None:
    assert judged([(0, ANSWERED), *((second, busy(f"tokens {second}")) for second in range(15, 7200, 15))]) is None


def test_a_queue_that_is_there_from_the_first_moment_is_no_start() -> None:
    looks = [(float(second), busy(f"tokens {second}")) for second in range(0, 1200, 15)]
    assert judged(looks) is None


def test_counters_that_cannot_be_read_prove_nothing() -> None:
    looks = [(0, ANSWERED), (15, busy("tokens 7")), (30, watch.Look(heard=True)), (46, busy("tokens 7"))]
    assert judged(looks) == "its engine has got nothing done for 46 s"


def test_a_server_without_its_engine_is_restarted_at_once() -> None:
    assert judged([(0, ANSWERED), (10, watch.Look(heard=True, gone=True))]) == "its engine has ended"


looks = st.one_of(
    st.just(ANSWERED),
    st.just(DEAF),
    st.builds(watch.Look, heard=st.just(True), counters=st.sampled_from([None, "tokens 1", "tokens 2"])),
)


@given(st.lists(st.tuples(st.floats(1, 25), looks), max_size=40))
def test_nothing_is_restarted_that_has_worked_a_moment_ago(steps: list[tuple[float, Any]]) -> None:
    judge, now, worked = watch.Judge(0, START), 0.0, 0.0
    for seconds, look in steps:
        now += seconds
        said = judge.objection(look, now)
        if look.answered:
            worked = now
            assert said is None
        assert said is None or now - worked > watch.DEAF


@dataclass
class Model:
    """A server as vLLM's: which path is served, and what it says."""

    answers: dict[str, tuple[int, str]]
    seen: list[tuple[str, str | None, object]] = field(default_factory=list)
    server: Any = None

    @property
    def asked(self) -> list[str]:
        return [path for path, _, _ in self.seen]


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model({"/v1/completions": (200, "{}")})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
            model.seen.append((self.path, self.headers["Authorization"], question))
            status, text = model.answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        model.server = watch.Server(f"http://127.0.0.1:{server.server_port}", KEY)
        yield model
        server.shutdown()
        thread.join()


def test_the_model_is_asked_for_next_to_nothing_with_its_key(model: Model) -> None:
    assert model.server.look() == ANSWERED
    assert model.seen == [("/v1/completions", f"Bearer {KEY}", {"prompt": "Hello", "max_tokens": 1})]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_a_model_of_another_kind_is_asked_what_it_can(model: Model, path: str) -> None:
    model.answers = {"/v1/completions": (400, ""), path: (200, "{}")}
    assert model.server.look() == ANSWERED
    model.seen.clear()
    assert model.server.look() == ANSWERED
    assert model.asked == [path]


def test_a_model_that_cannot_be_asked_is_not_restarted_but_named(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    model.answers = {}
    assert model.server.look() == ANSWERED
    assert model.server.look() == ANSWERED
    assert capsys.readouterr().err.count("cannot be asked (404): it is not watched") == 1


METRICS = """# HELP vllm:generation_tokens_total Number of generation tokens processed.
vllm:generation_tokens_total{engine="0",model_name="parrot"} 7.0
vllm:generation_tokens_created{engine="0",model_name="parrot"} 1.7956553869159496e+09
vllm:kv_cache_usage_perc{engine="0",model_name="parrot"} 0.0
http_requests_total{method="GET"} 3.0
"""


@pytest.mark.parametrize("status", [429, 500, 503])
def test_of_a_model_that_does_not_answer_only_the_engine_counts(model: Model, status: int) -> None:
    model.answers = {"/v1/completions": (status, ""), "/health": (200, ""), "/metrics": (200, METRICS)}
    counted = 'vllm:generation_tokens_total{engine="0",model_name="parrot"} 7.0\n'
    counted += 'vllm:kv_cache_usage_perc{engine="0",model_name="parrot"} 0.0'
    assert model.server.look() == watch.Look(heard=True, counters=counted)
    assert {key for _, key, _ in model.seen} == {f"Bearer {KEY}"}


def test_a_server_says_that_its_engine_is_gone(model: Model) -> None:
    model.answers = {"/v1/completions": (500, ""), "/health": (503, "")}
    assert model.server.look() == watch.Look(heard=True, gone=True)


def test_a_server_that_takes_calls_and_never_answers_is_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DEADLINE", 0.1)
    monkeypatch.setattr(watch, "HEALTH_DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        assert watch.Server(f"http://127.0.0.1:{stopped.getsockname()[1]}", KEY).look() == DEAF


SERVED = """
import os, sys, http.server
print(os.environ["VLLM_API_KEY"], "NOTIFY_SOCKET" in os.environ, sys.argv[1], flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(503 if os.path.exists(sys.argv[1]) else 200)
        self.end_headers()
    do_GET = do_POST
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[IO[str]]:
    """The file whose lock lets a server start."""
    with (tmp_path / "turn").open("a") as file:
        yield file


@pytest.fixture
def others_turn(turn: IO[str]) -> IO[str]:
    """Another server is starting; closing it says that it serves."""
    fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


@pytest.fixture
def program(tmp_path: Path, turn: IO[str]) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """The program as its unit runs it, with our own end of systemd's socket."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "api_key").write_text(f"{KEY}\n")
    config = tmp_path / "parrot.yaml"
    config.write_text(yaml.safe_dump({"host": "0.0.0.0", "port": port}))
    served = [sys.executable, "-c", SERVED, str(tmp_path / "ill"), str(port)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, watch.__file__, config, "60", *served],
            env={
                "CREDENTIALS_DIRECTORY": str(tmp_path),
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "PATH": "/usr/bin",
                "WATCH_TURN": str(turn.name),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        yield process, systemd
        subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=False, capture_output=True)
        process.wait()


def test_systemd_hears_that_all_is_well_and_when_it_is_not(
    program: tuple[subprocess.Popen[str], socket.socket], tmp_path: Path
) -> None:
    process, systemd = program
    assert process.stdout is not None
    assert process.stdout.readline() == f"{KEY} False {tmp_path}/ill\n"
    assert systemd.recv(99) == b"WATCHDOG=1"
    time.sleep(1)  # it serves by now, and is seen to
    (tmp_path / "ill").touch()
    while (heard := systemd.recv(99)) == b"WATCHDOG=1":
        pass
    assert heard == b"WATCHDOG=trigger"
    assert KEY not in Path(f"/proc/{process.pid}/cmdline").read_text()


def test_it_ends_with_its_server(program: tuple[subprocess.Popen[str], socket.socket]) -> None:
    process, _ = program
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text():
        time.sleep(0.05)
    subprocess.run(["kill", "-KILL", *children.read_text().split()], check=True)
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert "the model's server has ended with status -9" in process.stderr.read()


def test_servers_start_one_after_the_other(
    others_turn: IO[str], program: tuple[subprocess.Popen[str], socket.socket], tmp_path: Path
) -> None:
    process, systemd = program
    assert systemd.recv(99) == b"WATCHDOG=1"
    assert systemd.recv(99) == b"WATCHDOG=1"
    assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == ""
    others_turn.close()
    assert process.stdout is not None
    assert process.stdout.readline().startswith(KEY)
    with (tmp_path / "turn").open("a") as next_one:
        deadline = time.monotonic() + 20
        while True:
            try:
                fcntl.flock(next_one, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    assert process.poll() is None


def test_nobody_starts_while_another_one_does(
    program: tuple[subprocess.Popen[str], socket.socket], tmp_path: Path
) -> None:
    process, _ = program
    (tmp_path / "ill").touch()
    assert process.stdout is not None
    process.stdout.readline()
    with (tmp_path / "turn").open("a") as next_one, pytest.raises(BlockingIOError):
        fcntl.flock(next_one, fcntl.LOCK_EX | fcntl.LOCK_NB)
