"""parrotpark_sweep deletes what has had no valid lease for long; parrotpark_sweeper makes a timer that does so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from parrotpark.cloud import Account, Offer, ServerSpec, connect
from parrotpark.control import sweeper_timer
from parrotpark.shared.lease import Lease, State

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]


@pytest.fixture
def sweep(run_module: Run, load_module: Callable[[str], ModuleType]) -> Run:
    module = load_module("parrotpark_sweep")
    return lambda *clouds, check=False: run_module(module, clouds=list(clouds), _ansible_check_mode=check)


@pytest.fixture
def overdue(gpu: Cloud) -> Callable[[], list[str]]:
    """Makes a server whose lease ended an hour ago, and tells which servers there are."""
    cloud = connect(Account.of(gpu))
    labels = Lease("gpu", "gpu-1", State.SERVING, "me", "a", int(time.time()) - 3600).labels()
    cloud.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "cx33"), "debian-13", labels))
    return lambda: [server.name for server in cloud.servers({})]


def test_what_is_overdue_goes_once(sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud) -> None:
    result = sweep(gpu, check=True)
    assert (result["changed"], len(result["actions"]), overdue()) == (True, 1, ["gpu-1"])
    result = sweep(gpu)
    assert (result["changed"], overdue()) == (True, [])
    assert result["actions"][0].startswith("gpu-1: delete at once, its lease ended 360")
    result = sweep(gpu)
    assert (result["changed"], result["actions"]) == (False, [])


def test_a_cloud_that_cannot_be_asked_is_a_failure_after_the_work(
    sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud, other: Cloud
) -> None:
    result = sweep({**other, "endpoint": "http://127.0.0.1:9/v1"}, gpu)
    assert result["failed"]
    assert result["msg"].startswith("cloud other cannot be asked: nothing answers at")
    assert (len(result["actions"]), overdue()) == (1, [])


def test_the_entry_servers_project_is_refused(sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud) -> None:
    spec = ServerSpec("entry-server", Offer("gpu", "fsn1", "cx33"), "debian-13", {"parrotpark-role": "entry"})
    connect(Account.of(gpu)).create(spec)
    assert "give the GPU hosts a project of their own; nothing is touched" in sweep(gpu)["msg"]
    assert overdue() == ["gpu-1", "entry-server"]


@pytest.fixture
def sweeper(
    run_module: Run,
    load_module: Callable[[str], ModuleType],
    gpu: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    """Runs the module for a user whose systemd is a script that answers everything with `active`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "loginctl"):
        called = f'echo "{name} $*" >>{tmp_path}/called'
        (programs / name).write_text(
            f"#!/bin/sh\n{called}\ncase $* in *=Result*) echo success;; *) echo active;; esac\n"
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    module = load_module("parrotpark_sweeper")
    return lambda check=False, clouds=None: run_module(
        module, clouds=[gpu] if clouds is None else clouds, inventory="production", _ansible_check_mode=check
    )


def test_the_timer_is_made_once(sweeper: Run, tmp_path: Path) -> None:
    assert sweeper(check=True)["changed"] is True
    assert not (tmp_path / "parrotpark").exists()
    result = sweeper()
    assert (result["changed"], result["unit"], result["advice"]) == (True, "parrotpark-sweeper-production", "")
    assert "systemctl --user start parrotpark-sweeper-production.service\n" in (tmp_path / "called").read_text()
    assert (tmp_path / "parrotpark/sweeper-production.json").exists()
    assert sweeper()["changed"] is False


def test_no_cloud_and_no_systemd_are_one_line(sweeper: Run, tmp_path: Path) -> None:
    assert "there is nothing to sweep" in sweeper(clouds=[])["msg"]
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\necho >&2 Host is down; exit 1\n")
    result = sweeper()
    assert (result["failed"], result["msg"]) == (True, "systemctl --user daemon-reload: Host is down")


def test_a_timer_that_ends_with_the_login_is_warned_of(sweeper: Run, tmp_path: Path) -> None:
    (tmp_path / "bin/loginctl").write_text("#!/bin/sh\nexit 1\n")
    assert "only while you are logged in" in sweeper()["advice"]


def test_the_program_that_it_runs_is_there() -> None:
    __import__(sweeper_timer.MODULE)
