"""The command, against the local cloud's API and models that really listen."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from parrotpark.cloud import Account, Cloud, Offer, ServerSpec, connect
from parrotpark.fleet import cli
from parrotpark.shared.lease import FINGERPRINT, ROLE
from tests.cloud_in_memory import TOKENS, serving

WANTED = "a" * 32
TOKEN = next(token for token, project in TOKENS.items() if project == "gpu")


class NoGate:
    """Keeps nobody away: the packet filter of the test's machine is not ours."""

    def __init__(self, ports: Collection[int]) -> None: ...

    def close(self, addresses: Collection[str]) -> None: ...

    def connections(self, _: Collection[str]) -> int:
        return 0


class Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def models() -> Iterator[int]:
    """Models that answer in all slots and on the stable endpoint."""
    with ThreadingHTTPServer(("0.0.0.0", 0), Models) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "cloud") as served:
        yield served.endpoint


@pytest.fixture
def cloud(endpoint: str, tmp_path: Path) -> Cloud:
    (tmp_path / "ours").write_text(TOKEN)
    return connect(Account("gpu", "hetzner", str(tmp_path / "ours"), endpoint))


@pytest.fixture
def path(
    write_config: Callable[..., Path], endpoint: str, models: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setattr(cli, "PacketFilter", NoGate)
    path = write_config(
        clouds=[{"name": "gpu", "provider": "hetzner", "endpoint": endpoint}],
        offers=[{"cloud": "gpu", "location": place, "server_type": "ccx33"} for place in ("fsn1", "nbg1")],
        ssh_keys=[],
        firewalls=[],
        models=[{"name": "generate", "port": models}],
        endpoint_address="127.0.0.1",
    )
    slots = (tmp_path / "slots.json").read_text().replace("10.78.0.", "127.0.0.")
    (tmp_path / "slots.json").write_text(slots)
    (tmp_path / "gpu").write_text(TOKEN)
    return path


@pytest.fixture
def golden(cloud: Cloud) -> None:
    server = cloud.create(ServerSpec("gpu-bake", Offer("gpu", "fsn1", "ccx33"), "debian-13", {ROLE: "gpu"}))
    cloud.snapshot(server, "golden", {ROLE: "gpu-image", FINGERPRINT: WANTED})
    cloud.delete(server)


type Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; return exit status and lines of standard output and error."""

    def command(*arguments: str) -> tuple[int, list[str], list[str]]:
        status = cli.main([*arguments, "--config", str(path)])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return command


def last(lines: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


@pytest.mark.usefixtures("golden")
def test_wake_keep_and_sleep(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    status, said, _ = run("wake", "--check", "--json")
    assert (status, last(said)) == (0, {"changed": True, "actions": ["gpu-1: create from the golden image"]})
    assert said[0] == "would do: gpu-1: create from the golden image"
    assert cloud.servers({}) == ()

    status, said, _ = run("wake", "2", "--json")
    assert (status, last(said)["changed"]) == (0, True)
    assert sorted(server.name for server in cloud.servers({})) == ["gpu-1", "gpu-2"]
    assert {path.name for path in (tmp_path / "run/leases").iterdir()} == {"gpu-1", "gpu-2"}

    status, said, _ = run("keep", "--json")
    assert (status, said) == (0, ['{"changed": false, "actions": []}'])

    status, said, _ = run("status")
    assert status == 0
    assert said[0] == "awake 2; image current"
    assert said[1].startswith("gpu-1: serving, its models answer; ccx33 in fsn1 at gpu; the lease lasts ")
    assert said[3] == "gpu-3: empty"

    status, said, _ = run("sleep", "--json")
    assert (status, len(last(said)["actions"])) == (0, 2)
    assert cloud.servers({}) == ()
    assert cloud.leftovers() == ()
    assert last(run("sleep", "--json")[1]) == {"changed": False, "actions": []}


def test_sweep(run: Run, cloud: Cloud) -> None:
    cloud.create(ServerSpec("stray", Offer("gpu", "fsn1", "ccx33"), "debian-13", {}))
    assert run("sweep", "--check")[1][0].startswith("would do: stray: delete at once, no lease")
    assert len(cloud.servers({})) == 1
    assert run("sweep")[0] == 0
    assert cloud.servers({}) == ()


def test_status_is_also_for_programs(run: Run, cloud: Cloud) -> None:
    run("sleep")
    cloud.create(ServerSpec("stray", Offer("gpu", "fsn1", "ccx33"), "debian-13", {}))
    _, said, _ = run("status", "--json")
    found = last(said)
    assert (found["wish"], found["image_current"], found["others"]) == ("asleep", False, ["stray"])
    assert [slot["server"] for slot in found["slots"]] == [None] * 3
    assert run("status")[1][0] == "asleep; no image yet"
    assert run("status")[1][-2] == "stray: in no slot"


def test_without_an_image_a_wake_fails_with_one_line(run: Run) -> None:
    status, _, errors = run("wake")
    assert status == 1
    (line,) = errors
    assert line.startswith("parrotpark: gpu-1: no golden image carries the fingerprint")


def test_a_plan_without_an_image_says_that_it_would_fail(run: Run) -> None:
    status, said, _ = run("wake", "--check", "--json")
    assert (status, last(said)["changed"]) == (0, True)  # the wish would be another
    assert said[0].startswith("would fail: gpu-1: no golden image")


def test_keep_says_what_it_could_not_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wish").write_text("awake\n")
    status, said, errors = run("keep", "--json")
    assert (status, last(said)) == (1, {"changed": False, "actions": []})
    assert errors[0].startswith("parrotpark: gpu-1: no golden image")


@pytest.mark.parametrize("verb", ["wake", "keep", "status", "sweep"])
def test_a_wrong_token_is_named_in_one_line(run: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wish").write_text("awake\n")
    (tmp_path / "gpu").write_text("x" * 64)
    status, _, (line,) = run(verb)
    assert status == 1
    assert f"check the token in {tmp_path}/gpu, and that it may write" in line


def test_a_configuration_that_is_fine_and_one_that_is_not(run: Run, path: Path) -> None:
    assert run("check") == (0, [f"{path} is fine: 3 slots, 2 offers"], [])
    path.write_text(path.read_text().replace('"hosts": 1', '"hosts": 9'))
    for verb in ("check", "wake", "keep", "status"):
        status, said, errors = run(verb)
        assert (status, said) == (2, [])
        assert errors == [f"parrotpark: {path}: hosts is 9, but {path.parent}/slots.json has only 3 slots"]


def test_more_hosts_than_slots_are_refused(run: Run) -> None:
    assert run("wake", "4") == (2, [], ["parrotpark: the wish is for 4 hosts, but there are 3 slots: wish for fewer"])


@pytest.mark.parametrize("arguments", [["wake", "0"], ["wake", "many"], ["dream"], [], ["keep", "1"]])
def test_wrong_arguments_are_refused(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2


def test_a_keep_without_a_wish_fails_with_one_line(run: Run, tmp_path: Path) -> None:
    status, _, errors = run("keep")
    assert (status, errors) == (
        1,
        [f"parrotpark: there is no wish in {tmp_path}/data/wish: run parrotpark wake or parrotpark sleep"],
    )


def test_a_folder_that_cannot_be_written_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    status, _, (line,) = run("sweep")
    assert status == 1
    assert f"{tmp_path}/run" in line


def test_nothing_of_ansible_is_needed() -> None:
    modules = "parrotpark.fleet.cli, parrotpark.cloud.hetzner"  # the second only where a cloud is of that provider
    program = f"import sys; import {modules}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    foreign = set(done.stdout.split()) - sys.stdlib_module_names
    assert "hcloud" in foreign
    assert not {"ansible", "yaml", "jinja2", "starlette", "localcloud"} & foreign
