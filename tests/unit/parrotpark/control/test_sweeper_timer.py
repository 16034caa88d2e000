"""The timer of the second sweeper: made once, judged by systemd, tried at once, and gone without a trace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from parrotpark.cloud import Account
from parrotpark.control import sweeper_timer
from parrotpark.control.sweeper_timer import Manager, SweeperTimer, TimerError

GPU = Account("gpu", "hetzner", "~/gpu.token", "https://api.example.org/v1")
UNIT = "parrotpark-sweeper-production"


@dataclass
class Systemd:
    """Answers as systemctl does, and writes down what it was asked to do."""

    active: str = "inactive"
    result: str = "success"
    fails: str = "nothing"  # the verb that does
    calls: list[str] = field(default_factory=list)

    def __call__(self, command: Sequence[str]) -> str:
        said = " ".join(command).removeprefix("systemctl ").removeprefix("--user ")
        if said.startswith("show "):
            values = {"ActiveState": self.active, "Result": self.result, "ExecMainExitTimestamp": "Fri 12:00"}
            return values[said.split()[1].removeprefix("--property=")] + "\n"
        self.calls.append(said)
        if said.split()[0] == self.fails:
            self.result = "exit-code"
            raise TimerError(f"{said}: Job failed")
        if said.startswith(("enable", "disable")):
            self.active = "active" if said.startswith("enable") else "inactive"
        if said.startswith("start"):
            self.result = "success"
        return ""


@pytest.fixture
def systemd() -> Systemd:
    return Systemd()


@pytest.fixture(params=[False, True], ids=["of root", "of a user"])
def timer(tmp_path: Path, request: pytest.FixtureRequest) -> SweeperTimer:
    return SweeperTimer("production", Manager(tmp_path / "units", tmp_path / "a %name $HOME", user=request.param))


MADE = ["daemon-reload", f"enable --now {UNIT}.timer", f"start {UNIT}.service"]


def test_it_is_made_and_tried_once(timer: SweeperTimer, systemd: Systemd) -> None:
    assert timer.install([GPU], "/venv/bin/python", check=True, run=systemd)
    assert (systemd.calls, [path for path in timer.paths if path.exists()]) == ([], [])
    assert timer.install([GPU], "/venv/bin/python", run=systemd)
    assert systemd.calls == MADE
    assert not timer.install([GPU], "/venv/bin/python", run=systemd)
    assert systemd.calls == MADE
    assert timer.install([GPU], "/other/bin/python", run=systemd)
    assert systemd.calls == MADE * 2


@pytest.mark.parametrize(("change", "value"), [("active", "inactive"), ("result", "exit-code")])
def test_one_that_stands_still_or_fails_is_tried_again(
    timer: SweeperTimer, systemd: Systemd, change: str, value: str
) -> None:
    timer.install([GPU], "/venv/bin/python", run=systemd)
    setattr(systemd, change, value)
    assert timer.install([GPU], "/venv/bin/python", run=systemd)
    assert systemd.calls == MADE * 2


@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "start"])
def test_one_that_does_not_work_is_no_success(timer: SweeperTimer, systemd: Systemd, verb: str) -> None:
    systemd.fails = verb
    for _ in range(2):
        with pytest.raises(TimerError, match="Job failed"):
            timer.install([GPU], "/venv/bin/python", run=systemd)


def test_there_must_be_something_to_sweep(timer: SweeperTimer, systemd: Systemd) -> None:
    with pytest.raises(TimerError, match="nothing to sweep"):
        timer.install([], "/venv/bin/python", run=systemd)


def test_it_is_gone_without_a_trace(timer: SweeperTimer, systemd: Systemd) -> None:
    timer.install([GPU], "/venv/bin/python", run=systemd)
    systemd.calls.clear()
    assert timer.remove(run=systemd)
    assert systemd.calls == [f"disable --now {UNIT}.timer", "daemon-reload", f"reset-failed {UNIT}*"]
    assert [path for path in timer.paths if path.exists()] == []
    assert not timer.remove(run=systemd)


def test_its_status_is_said(timer: SweeperTimer, systemd: Systemd) -> None:
    assert timer.status(run=systemd) == ""
    timer.install([GPU], "/venv/bin/python", run=systemd)
    assert timer.status(run=systemd) == "the second sweeper runs every ten minutes, last at Fri 12:00"
    systemd.result = "exit-code"
    journal = "journalctl --user" if timer.manager.user else "journalctl"
    assert timer.status(run=systemd) == f"the second sweeper FAILS: {journal} --unit={UNIT} says why"
    systemd.active = "inactive"
    assert timer.status(run=systemd).startswith("the second sweeper does not run: ")


def test_a_systemd_that_does_not_answer_holds_up_no_other_status(timer: SweeperTimer, systemd: Systemd) -> None:
    timer.install([GPU], "/venv/bin/python", run=systemd)

    def refuse(command: Sequence[str]) -> str:
        raise TimerError(f"{command[0]}: Host is down")

    assert timer.status(run=refuse) == "the second sweeper cannot be asked: systemctl: Host is down"


def test_only_a_users_timer_has_to_outlast_their_login(timer: SweeperTimer, systemd: Systemd) -> None:
    assert timer.linger(run=systemd) == ""
    assert systemd.calls == (["loginctl enable-linger"] if timer.manager.user else [])
    systemd.fails = "loginctl"
    assert ("only while you are logged in" in timer.linger(run=systemd)) is timer.manager.user


def test_each_inventory_has_its_own(tmp_path: Path) -> None:
    names = ("production", "my inventory", "elsewhere")
    timers = [SweeperTimer(name, Manager(tmp_path, tmp_path, user=False)) for name in names]
    assert len({path for timer in timers for path in timer.paths}) == 9
    assert timers[1].unit == "parrotpark-sweeper-my-inventory"


def test_it_names_the_clouds_and_no_secret(
    timer: SweeperTimer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gpu.token").write_text("topsecret")
    files = timer.files([GPU], "/venv/bin/python")
    assert b"topsecret" not in b"".join(files.values())
    (account,) = json.loads(files[timer.paths[0]])
    assert account == {**GPU.to_dict(), "credential_file": f"{tmp_path}/gpu.token"}


@pytest.mark.parametrize("bundle", ["", "/etc/ssl/my own.crt"])
def test_systemd_takes_both_units_without_a_word(timer: SweeperTimer, tmp_path: Path, bundle: str) -> None:
    """It says what it does not know, and goes on without it."""
    python = tmp_path / "a %name $HOME/python"
    for path, content in timer.files([GPU], str(python), bundle).items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    service = timer.paths[1].read_text()
    assert f'a %%name $$HOME/python" "-I" "-m" "{sweeper_timer.MODULE}" "{tmp_path}/a %%name $$HOME/sweeper-' in service
    assert (f'Environment="REQUESTS_CA_BUNDLE={bundle}"\n' in service) is (bundle != "")
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    verify = ["systemd-analyze", "verify", "--man=no", *(["--user"] if timer.manager.user else [])]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([*verify, timer.paths[-1]], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_root_has_the_systems_and_others_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Manager.own().systemctl("start", "x") == ["systemctl", "start", "x"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    own = Manager.own()
    assert own.systemctl("start", "x") == ["systemctl", "--user", "start", "x"]
    assert own.units == tmp_path / ".config/systemd/user"


def test_what_a_program_says_of_its_failure_is_one_line() -> None:
    with pytest.raises(TimerError, match=r"^sh -c echo no; echo >&2 never; exit 3: never$"):
        sweeper_timer.run(["sh", "-c", "echo no; echo >&2 never; exit 3"])
    with pytest.raises(TimerError, match="No such file"):
        sweeper_timer.run(["no-such-program"])
    assert sweeper_timer.run(["echo", "yes"]) == "yes\n"


def test_make_can_ask_and_end_without_an_inventory(
    monkeypatch: pytest.MonkeyPatch, timer: SweeperTimer, systemd: Systemd, capsys: pytest.CaptureFixture[str]
) -> None:
    """It must work on the day when nothing answers."""
    monkeypatch.setattr(Manager, "own", lambda: timer.manager)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "active\n", ""))
    assert sweeper_timer.main(["status", "production"]) == 0
    assert capsys.readouterr().out == ""
    timer.install([GPU], "/venv/bin/python", run=systemd)
    assert sweeper_timer.main(["off", "production"]) == 0
    assert sweeper_timer.main(["off", "production"]) == 0
    assert capsys.readouterr().out == f"{UNIT} is gone\nthere is no {UNIT} on this machine\n"
