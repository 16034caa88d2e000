"""When the S3 server is started, and what it is told; how it behaves is shown by tests/conformance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.core.backend import BackendError
from localcloud.machine import podman, roots, s3

MODE = 0o777


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(s3, "PROGRAM", tmp_path / "artifacts/versitygw")
    monkeypatch.setattr(s3, "S3", tmp_path / "s3")
    monkeypatch.setattr(s3, "TOKENS", tmp_path / "tokens")
    monkeypatch.setattr(roots, "directory", lambda name: tmp_path / "machines" / name)
    monkeypatch.setattr(roots, "delete", lambda _: None)
    monkeypatch.setattr(podman, "remove", lambda _: None)
    monkeypatch.setattr(podman, "alive", lambda _: True)
    monkeypatch.setattr(podman, "run_detached", lambda *_: None)
    return tmp_path


def build() -> None:
    s3.PROGRAM.parent.mkdir(exist_ok=True)
    unfinished = s3.PROGRAM.with_suffix(".new")
    unfinished.write_text("program")
    unfinished.replace(s3.PROGRAM)


def test_without_a_program_nothing_is_to_be_started() -> None:
    assert s3.runs()


def test_it_runs_once_it_was_started() -> None:
    build()
    s3.start()
    assert s3.runs()


@pytest.mark.parametrize(
    "change",
    [
        build,
        lambda: s3.make_key("admin").write_text("another"),
        lambda: setattr(podman, "alive", lambda _: False),
    ],
    ids=["program", "settings", "end"],
)
def test_another_program_other_settings_and_an_end_start_it_anew(
    change: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "alive", podman.alive)  # so that it is put back
    build()
    s3.start()
    change()
    assert not s3.runs()


def test_only_root_reads_what_it_is_told_and_keeps(state: Path) -> None:
    build()
    s3.start()
    s3.make_key("chat")
    environment = state / "machines/s3/environment"
    assert "ROOT_SECRET_ACCESS_KEY=" + (state / "tokens/s3-admin").read_text() in environment.read_text()
    files = [environment, state / "tokens/s3-admin", state / "tokens/s3-chat", state / "s3/keys/users.json"]
    assert {file.stat().st_mode & MODE for file in files} == {0o600}
    assert {folder.stat().st_mode & MODE for folder in (state / "s3").iterdir()} == {0o700}


def test_a_key_is_made_once_and_leaves_the_others(state: Path) -> None:
    secret = s3.make_key("chat").read_text()
    s3.make_key("backup")
    assert s3.make_key("chat").read_text() == secret
    accounts = json.loads((state / "s3/keys/users.json").read_text())["accessAccounts"]
    assert {name: (account["role"], account["secret"] == secret) for name, account in accounts.items()} == {
        "chat": ("user", True),
        "backup": ("user", False),
    }


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "START_SECONDS", 0.0)
    monkeypatch.setattr(s3, "answers", lambda _: False)
    with pytest.raises(BackendError, match=r"^the S3 server does not answer at http://10\.77\.0\.1:7070"):
        s3.wait()
