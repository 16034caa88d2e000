"""What belongs to the cloud, and what the documentation promises about its size."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud import daemon

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
