"""One local cloud a host: its lock, its tokens, its command line."""

from __future__ import annotations

import io
import os
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from localcloud import __main__ as command_line
from localcloud import daemon, teardown
from localcloud.core.backend import BackendError
from localcloud.machine import registry

COMMAND_LOCK = command_line.COMMAND_LOCK


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and locks of its own."""
    monkeypatch.setattr(daemon, "LOCK", tmp_path / "daemon.lock")
    monkeypatch.setattr(daemon, "TOKENS", tmp_path / "tokens")
    monkeypatch.setattr(command_line, "COMMAND_LOCK", tmp_path / "command.lock")
    monkeypatch.setattr(command_line, "STATE", tmp_path / "state")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(registry, "wait", lambda: print("the registry answers"))
    return tmp_path


def test_tokens_are_made_once_and_only_for_root(state: Path) -> None:
    first = daemon.tokens()
    assert sorted(first.values()) == ["entry", "gpu", "test"]
    assert {len(token) for token in first} == {64}
    assert daemon.tokens() == first
    assert {path.stat().st_mode & 0o777 for path in (state / "tokens").iterdir()} == {0o600}


def test_nobody_but_root_can_make_the_lock_of_commands() -> None:
    folder = COMMAND_LOCK.parent.stat()
    assert (folder.st_uid, folder.st_mode & 0o022) == (0, 0)


def test_nobody_runs_it_before_the_first_start() -> None:
    assert daemon.owner() is None


def test_there_is_one_a_host() -> None:
    with daemon.take_lock():
        assert daemon.owner() == daemon.Owner.this()
        with pytest.raises(BackendError, match="is running already"):
            daemon.take_lock()
    assert daemon.owner() is None


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BackendError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use$"):
            daemon.listen(IPv4Address("127.0.0.1"), port)


def test_another_checkout_s_local_cloud_is_adopted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(daemon, "owner", lambda: daemon.Owner(42, "/elsewhere", "other code"))
    assert command_line.main(["start"]) == 0
    adopted = "adopted the local cloud that runs from /elsewhere (process 42)"
    assert capsys.readouterr().out.splitlines() == [adopted, "the registry answers"]


def test_starting_twice_changes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(daemon, "owner", daemon.Owner.this)
    assert command_line.main(["start"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"the local cloud runs (process {os.getpid()})",
        "the registry answers",
    ]


def test_only_root_commands_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command_line.main(["start"]) == 1
    assert capsys.readouterr().err == "the local cloud needs root: run this with sudo\n"


@pytest.mark.parametrize(("answer", "deleted"), [("", False), ("n", False), ("yes", True)])
def test_down_names_what_it_deletes_and_asks(
    answer: str, deleted: bool, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "state").mkdir()
    removed: list[bool] = []
    monkeypatch.setattr(teardown, "remove", lambda: removed.append(True))
    monkeypatch.setattr(command_line, "belongings", lambda: ["server entry (entry)"])
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert command_line.main(["down"]) == (0 if deleted else 1)
    assert "server entry (entry)" in capsys.readouterr().out
    assert bool(removed) is deleted


def test_down_deletes_nothing_where_nobody_answers(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "state").mkdir()
    monkeypatch.setattr(command_line, "belongings", list)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert command_line.main(["down"]) == 1
    assert (state / "state").exists()


def test_down_of_nothing_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["down", "--yes"]) == 0
    assert capsys.readouterr().out == "there is no local cloud on this machine\n"
