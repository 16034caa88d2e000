"""parrotpark_wish: what it shows and returns, of a host that answers as written here, and of this machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.loader import action_loader

from parrotpark.control import wish_unit

type Run = Callable[..., dict[str, Any]]
type Wished = Callable[..., dict[str, Any]]

BEGUN = "    0 s  the wish is awake (usually 24 s)\n"
CREATED = "    3 s  gpu-1: created\n"
ACTIONS = ["gpu-1: create from the golden image", "gpu-1: it serves"]
DONE = json.dumps({"changed": True, "actions": ACTIONS}) + "\nexit 0\n"
UNCHANGED = json.dumps({"changed": False, "actions": []}) + "\nexit 0\n"
LOST = AnsibleConnectionFailure("the line is dead")


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    plugin = action_loader.get("parrotpark_wish", class_only=True)
    monkeypatch.setattr(sys.modules[plugin.__module__], "POLL", 0.01)
    return plugin


@pytest.fixture
def wished(run_action: Run) -> Wished:
    def run(wish: str = "awake", program: str = "/usr/local/sbin/parrotpark", *, check: bool = False) -> dict[str, Any]:
        variables = {"inventory_hostname": "entry-server"}
        return run_action("parrotpark_wish", {"wish": wish, "program": program}, variables=variables, check=check)

    return run


@dataclass
class Host:
    """Answers one script after the other."""

    answers: Sequence[str | Exception | tuple[int, str]] = ()
    scripts: list[str] = field(default_factory=list)

    def execute(self, command: str, *, in_data: bytes) -> dict[str, Any]:
        assert command == "/bin/sh"
        answer = self.answers[len(self.scripts)]
        self.scripts.append(in_data.decode())
        if isinstance(answer, Exception):
            raise answer
        rc, stdout = (0, answer) if isinstance(answer, str) else answer
        return {"rc": rc, "stdout": stdout, "stderr": "debug1: noise of ssh\n" if rc == 0 else ""}


@pytest.fixture
def host(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(plugin, "_low_level_execute_command", lambda _, *args, **kwargs: host.execute(*args, **kwargs))
    return host


def test_progress_is_shown_line_by_line_as_it_comes(
    host: Host, wished: Wished, capsys: pytest.CaptureFixture[str]
) -> None:
    host.answers = [
        "",
        "active\n",
        f"active\n{BEGUN}{CREATED[:12]}",
        f"active\n{BEGUN}{CREATED}{DONE[:20]}",
        f"active\n{BEGUN}{CREATED}{DONE}",
        f"inactive\n{BEGUN}{CREATED}{DONE}",
    ]
    result = wished()
    assert (result["changed"], result["actions"]) == (True, ACTIONS)
    assert result["diff"][0]["after"] == "gpu-1: create from the golden image\ngpu-1: it serves\n"
    assert capsys.readouterr().out == (
        "  [entry-server]    0 s  the wish is awake (usually 24 s)\n  [entry-server]    3 s  gpu-1: created\n"
    )


def test_nothing_to_do(host: Host, wished: Wished) -> None:
    host.answers = ["", f"inactive\n{BEGUN}{UNCHANGED}"]
    result = wished()
    assert (result["changed"], result["actions"]) == (False, [])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (f"{BEGUN}parrotpark: given up after 900 s: no\nexit 1\n", "parrotpark: given up after 900 s: no"),
        ("parrotpark: one\nparrotpark: two\nexit 2\n", "parrotpark: one\nparrotpark: two"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'x'\nexit 1\n", "KeyError: 'x'"),
        ("sh: 1: /nowhere: not found\nexit 127\n", "sh: 1: /nowhere: not found"),
        (f"{BEGUN}exit 1\n", "the program ended with exit status 1 and said nothing"),
        ("exit 0\n", "the program ended with exit status 0 and said nothing"),
        (BEGUN, "the program was killed before it was done: run this again"),
    ],
)
def test_a_failure_is_what_the_program_said(host: Host, wished: Wished, output: str, message: str) -> None:
    host.answers = ["", f"inactive\n{output}"]
    assert wished() == {"failed": True, "msg": message}


def test_failed_looks_are_survived(host: Host, wished: Wished, capsys: pytest.CaptureFixture[str]) -> None:
    host.answers = ["", LOST, f"active\n{BEGUN}", LOST, (1, ""), f"inactive\n{BEGUN}{DONE}"]
    assert wished()["changed"]
    assert capsys.readouterr().out.count("the wish is awake") == 1


def test_a_host_that_stays_lost_is_unreachable(host: Host, wished: Wished) -> None:
    host.answers = ["", f"active\n{BEGUN}", LOST, LOST, LOST]
    with pytest.raises(AnsibleConnectionFailure, match=r"line is dead \(parrotpark-wish-awake goes on: run this again"):
        wished()


def test_check_asks_the_program_and_starts_nothing(host: Host, wished: Wished) -> None:
    host.answers = [f"would do: {ACTIONS[0]}\n{DONE}"]
    result = wished("awake 2", check=True)
    assert host.scripts == ['/usr/local/sbin/parrotpark wake 2 --json --check 2>&1; echo "exit $?"\n']
    assert (result["changed"], result["actions"]) == (True, ACTIONS)


def test_a_check_that_fails(host: Host, wished: Wished) -> None:
    host.answers = ["parrotpark: there is no golden image: run `make wake`\nexit 1\n"]
    assert wished(check=True) == {"failed": True, "msg": "parrotpark: there is no golden image: run `make wake`"}


def test_a_unit_that_cannot_be_started(host: Host, wished: Wished) -> None:
    host.answers = [(1, "Failed to start transient service unit: Access denied\n")]
    assert wished() == {"failed": True, "msg": "Failed to start transient service unit: Access denied"}


def test_no_wish(host: Host, wished: Wished) -> None:
    assert wished("awake 0")["msg"] == "the wish 'awake 0' is not a valid wish: write asleep, awake or awake N"
    assert host.scripts == []


SYSTEMD_RUN = """#!/bin/sh
for given; do case $given in
    --unit=*) unit=${given#*=} ;;
    --property=StandardOutput=truncate:*) log=${given#*:} ;;
esac; done
while [ "$1" != -- ]; do shift; done; shift
: >"$log"
touch "UNITS/$unit"
(setsid --wait "$@"; rm "UNITS/$unit") </dev/null >>"$log" 2>&1 &
"""
SYSTEMCTL = """#!/bin/sh
for unit; do :; done
state=inactive
[ -e "UNITS/$unit" ] && state=active
echo $state
[ $state = active ]
"""
PROGRAM = """#!/bin/sh
echo "    0 s  $*"
echo run >>RUNS
sleep 0.2
while [ ! -e GO ]; do sleep 0.05; done
echo '{"changed": true, "actions": []}'
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine with stand-ins for systemd and the program, which ends once there is a file `go`."""
    for name, text in {"systemd-run": SYSTEMD_RUN, "systemctl": SYSTEMCTL, "program": PROGRAM}.items():
        for word in ("units", "runs", "go"):
            text = text.replace(word.upper(), str(tmp_path / word))
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "units").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(wish_unit, "FOLDER", str(tmp_path / "run"))
    return tmp_path


def test_the_scripts_run_the_program_in_a_unit(
    folder: Path, wished: Wished, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "go").touch()
    assert wished("awake 3", str(folder / "program"))["changed"]
    assert capsys.readouterr().out == "  [entry-server]    0 s  wake 3 --json\n"
    assert [path.name for path in (folder / "run").iterdir()] == ["parrotpark-wish-awake-3.log"]


def test_the_program_goes_on_without_its_controller_and_the_next_run_follows_it(
    folder: Path, wished: Wished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "sleep", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        wished("asleep", str(folder / "program"))
    capsys.readouterr()

    monkeypatch.setattr(time, "sleep", lambda _: (folder / "go").touch())
    assert wished("asleep", str(folder / "program"))["changed"]
    assert capsys.readouterr().out == (
        "  [entry-server] another run is working on the same wish: following it\n"
        "  [entry-server]    0 s  sleep --json\n"
    )
    assert (folder / "runs").read_text() == "run\n"


def test_another_controller_that_is_quicker_is_followed(
    folder: Path, wished: Wished, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "go").touch()
    quicker = folder / "quicker"
    (folder / "systemd-run").rename(quicker)
    (folder / "systemd-run").write_text(f'#!/bin/sh\n"{quicker}" "$@"\necho Unit was already loaded >&2\nexit 1\n')
    (folder / "systemd-run").chmod(0o755)
    assert wished("awake", str(folder / "program"))["changed"]
    assert "following it" in capsys.readouterr().out


def test_a_new_run_of_the_same_wish_shows_nothing_of_the_last(folder: Path, wished: Wished) -> None:
    (folder / "go").touch()
    for _ in range(2):
        assert wished("awake", str(folder / "program"))["changed"]
    assert (folder / "runs").read_text() == "run\nrun\n"
