"""The vault password is made once, for its owner only, and trouble is one clear line."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "inventories/vault-password"


def ask(file: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PARROTPARK_VAULT_PASSWORD_FILE": str(file)}
    return subprocess.run([SCRIPT], check=False, capture_output=True, text=True, env=environment)


def test_it_is_made_on_first_use_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "state" / "vault-password"
    first, second = ask(file), ask(file)
    assert (first.returncode, first.stderr) == (0, "")
    assert len(first.stdout) == 64
    assert first.stdout == second.stdout == file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == ["vault-password"]


def test_two_first_runs_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [tmp_path / "vault-password"] * 8))
    assert len({answer.stdout for answer in answers}) == 1
    assert {answer.returncode for answer in answers} == {0}


def test_one_that_is_there_is_printed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("correct horse\n")
    assert ask(tmp_path / "mine").stdout == "correct horse\n"


def test_trouble_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = ask(tmp_path / "file" / "vault-password")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        f"the folder for the vault password {tmp_path}/file/vault-password cannot be made: run as the user who made "
        "it, or let PARROTPARK_VAULT_PASSWORD_FILE name another file\n"
    )
