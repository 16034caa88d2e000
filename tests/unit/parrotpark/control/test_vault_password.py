"""The vault password is made once, for its owner only, and trouble is one clear line."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from parrotpark.control.secrets.catalogue import SecretsError
from parrotpark.control.secrets.vault_password import make


def test_it_is_made_on_first_use_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "state" / "vault-password"
    make(file)
    first = file.read_text()
    make(file)
    assert len(first.strip()) == 64
    assert file.read_text() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == ["vault-password"]


def test_two_first_runs_at_once_agree(tmp_path: Path) -> None:
    def run(_: int) -> str:
        make(tmp_path / "vault-password")
        return (tmp_path / "vault-password").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1


@pytest.mark.parametrize("place", ["file/vault-password", "folder"])
def test_trouble_is_one_clear_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(SecretsError, match=f"^the vault password {tmp_path}/{place} cannot be made: .+$"):
        make(tmp_path / place)
