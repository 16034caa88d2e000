"""What belongs to the cloud, and what the documentation promises about its size."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import __main__ as program
from localcloud import daemon
from localcloud.demo import up
from parrotpark.control.models import ModelError

STRICT = 0o077
DOCUMENT = Path(__file__).parents[3] / "docs/local.md"
ASK = "import sys, {}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('localcloud')))"


def loaded(*modules: str) -> set[Path]:
    """Files of the package that modules of it need."""
    asked = [sys.executable, "-c", ASK.format(", ".join(f"localcloud.{module}" for module in modules))]
    return set(map(Path, subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()))


def test_all_that_the_daemon_and_its_command_line_load_is_of_the_cloud() -> None:
    """What was missing there could change without the daemon being started anew."""
    assert loaded("__main__") - set(daemon.program()) == set()


def test_the_core_knows_nothing_of_the_other_rooms() -> None:
    core = set((daemon.PACKAGE / "core").glob("*.py"))
    assert loaded(*(f"core.{path.stem}" for path in core if path.stem != "__init__")) - core == {
        daemon.PACKAGE / "__init__.py",
        daemon.PACKAGE / "paths.py",
    }


def test_an_edit_of_the_cloud_changes_its_code_and_one_of_the_demo_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "PACKAGE", tmp_path)
    codes = []
    for name in ("daemon.py", "core/store.py", "machine/guest/init", "demo/up.py", "demo/stand_ins/models.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        codes.append(daemon.Owner.this().code)
    assert len(set(codes[:3])) == 3
    assert set(codes[2:]) == {codes[2]}


def test_the_cloud_is_as_small_as_the_documentation_says() -> None:
    promised = re.search(r"less than ([0-9,]+) lines", DOCUMENT.read_text())
    assert promised
    lines = sum(len(path.read_text().splitlines()) for path in daemon.program() if path.suffix == ".py")
    assert 0 <= int(promised[1].replace(",", "")) - lines < 1000, f"it has {lines}"


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """Masks of files' modes that were in force; whoever runs the program has a strict one."""
    before = os.umask(STRICT)
    yield []
    os.umask(before)


def test_the_users_of_machines_can_enter_them_however_strict_the_umask_is(
    monkeypatch: pytest.MonkeyPatch, seen: list[int]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(program, "status", lambda: seen.append(os.umask(STRICT)))
    assert program.main(["status"]) == 0
    assert seen == [0o022]


def test_so_can_those_of_images(monkeypatch: pytest.MonkeyPatch, seen: list[int]) -> None:
    def remember(_: str | None) -> None:
        seen.append(os.umask(STRICT))
        raise ModelError

    monkeypatch.setattr(up, "remember", remember)
    assert up.main(["--since", "{}"]) == 2
    assert seen == [0o022]
