"""The command on a host whose people sign in at an issuer that is none of ours: it asks Keycloak nothing."""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parrotpark.people import cli
from tests.unit.parrotpark.people.test_directory import ADA
from tests.unit.parrotpark.people.test_records import Table

ISSUER = "https://id.example.org"

type Run = Callable[..., int]


@pytest.fixture
def chat() -> Table:
    rows = [{"id": str(number), "user_id": user, "path": ""} for number, user in enumerate((ADA, "bob", ""))]
    return Table("chat", rows=rows)


@pytest.fixture
def run(chat: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command where there is an issuer and a database."""
    config = {
        "issuer": ISSUER,
        "databases": {"chat": "x"},
        "uploads": str(tmp_path),
        "bucket": {"endpoint": ""},
        "librechat": {"mongodb": "", "search": "", "search_key": "", "data": str(tmp_path / "librechat")},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))

    @contextmanager
    def connected(name: str, password: str) -> Iterator[Table]:
        assert (name, password) == ("chat", "x")
        yield chat

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["parrotpark-people", "--config", str(tmp_path / "config.json"), *words])
        return cli.main()

    monkeypatch.setattr(cli, "connected", connected)
    return run


@pytest.mark.parametrize("words", [["invite", ADA, "--group", "staff"], ["list"], ["ensure"]])
def test_who_may_come_in_is_decided_there(run: Run, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"people sign in at {ISSUER}: ")


def test_what_is_kept_is_exported(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ada.tar.gz"
    assert run("export", ADA, "--to", str(file)) == 0
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["chat/file.json"]
    assert capsys.readouterr().out.splitlines() == ["chat: 1 rows", "files: 0"]


def test_what_is_kept_is_erased_and_who_could_come_back_is_told(
    run: Run, chat: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("erase", ADA) == 0
    assert [row["user_id"] for row in chat.rows] == ["bob", ""]
    assert capsys.readouterr().out.splitlines() == [
        "chat: 1 rows are gone",
        f"sign-on: {ADA} comes back by signing in, unless {ISSUER} refuses",
    ]


@pytest.mark.parametrize("email", ["", "bob", "admin"])
def test_what_is_no_address_is_nobody(
    run: Run, chat: Table, tmp_path: Path, email: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database says such words of many."""
    assert run("erase", email) == 1
    assert run("export", email, "--to", str(tmp_path / "x.tar.gz")) == 1
    assert capsys.readouterr().err.count("is not a mail address: PERSON must be one") == 2
    assert len(chat.rows) == 3


def test_what_is_kept_where_nobody_answers_is_not_left_behind_in_silence(
    run: Run, chat: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "librechat").mkdir()
    assert run("erase", ADA) == 1
    assert "LibreChat has kept data of people" in capsys.readouterr().err
    assert len(chat.rows) == 3
