"""What make does around the programs that it calls; those are played by scripts here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERBS = ["status", "logs", "site", "plan", "wake", "sleep", "sweep", "sweeper"]
UNTOUCHED = ["--assume-old=.venv/run", "--assume-old=.venv/dev", "--assume-old=.venv/bin/uv"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/run").touch()
    (tmp_path / "inventories/local/.state").mkdir(parents=True)
    (tmp_path / "inventories/local/.state/endpoints.json").touch()
    return tmp_path


def program(checkout: Path, name: str, script: str) -> None:
    file = checkout / ".venv/bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *UNTOUCHED, *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("agreed", [False, True])
def test_down_answered_with_no_keeps_everything_and_says_so(checkout: Path, agreed: bool) -> None:
    program(checkout, "python", f"exit {0 if agreed else 1}")
    done = make(checkout, "down")
    assert (done.returncode == 0) is agreed
    assert (checkout / "inventories/local/.state/endpoints.json").exists() is not agreed


@pytest.mark.parametrize("verb", [*VERBS, "stop", "start", "down"])
def test_every_verb_fails_as_its_program_does(checkout: Path, verb: str) -> None:
    for name in ("python", "ansible-playbook", "ansible"):
        program(checkout, name, "exit 3")
    assert make(checkout, verb).returncode != 0
    assert make(checkout, verb, "INVENTORY=inventories/production").returncode != 0


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_reads_our_settings(checkout: Path, verb: str) -> None:
    program(checkout, "python", "")
    program(checkout, "ansible-playbook", 'echo "$ANSIBLE_CONFIG"')
    assert make(checkout, verb).stdout.splitlines()[-1] == f"{checkout}/ansible.cfg"


@pytest.mark.parametrize("verb", ["site", "wake", "sleep", "sweep", "sweeper"])
@pytest.mark.parametrize(("words", "shown"), [((), "parrotpark_progress"), (("VERBOSE=1",), "default")])
def test_a_verb_says_one_line_a_step_unless_asked_for_all(
    checkout: Path, verb: str, words: tuple[str, ...], shown: str
) -> None:
    program(checkout, "ansible-playbook", 'echo "${ANSIBLE_STDOUT_CALLBACK:-default} $ANSIBLE_LOG_PATH"')
    log = checkout / ".ansible/run.log"
    log.parent.mkdir()
    log.write_text("of an earlier run")
    assert make(checkout, verb, *words).stdout.splitlines()[-1] == f"{shown} {log}"
    assert (log.read_text(), log.stat().st_mode & 0o777) == ("", 0o600)


@pytest.mark.parametrize("inventory", ["inventories/production", "inventories/production/", "../elsewhere/production"])
def test_a_sweeper_is_made_and_ended_by_the_same_name(checkout: Path, inventory: str) -> None:
    """And ended without Ansible, whose inventory asks clouds that may be gone."""
    program(checkout, "python", 'echo "$*"')
    program(checkout, "ansible-playbook", 'echo "$*"')
    made = make(checkout, "sweeper", f"INVENTORY={inventory}").stdout.splitlines()[-1]
    assert made == f"-i {inventory} playbooks/sweeper.yml -e sweeper_inventory=production"
    module = "-m parrotpark.control.sweeper_timer"
    off = make(checkout, "sweeper", "OFF=1", f"INVENTORY={inventory}").stdout.splitlines()[-1]
    assert off == f"{module} off production"
    assert f"{module} status production" in make(checkout, "status", f"INVENTORY={inventory}").stdout.splitlines()


def test_down_ends_the_sweeper_of_what_is_gone(checkout: Path) -> None:
    program(checkout, "python", 'echo "$*" >>called')
    assert make(checkout, "down").returncode == 0
    said = (checkout / "called").read_text().splitlines()
    assert said == ["-m localcloud down", "-m parrotpark.control.sweeper_timer off local"]


def test_lock_renews_every_lock_and_nothing_else(checkout: Path) -> None:
    """In its own folder, by its own source's command, and with what has cooled off."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    sources = [name for name in tracked if name.startswith(("requirements/", "roles/", "src/"))]
    locks = {
        name
        for name in sources
        if Path(name).name == "package-lock.json" or (name.endswith(".txt") and "--hash=" in (ROOT / name).read_text())
    }
    for name in sources:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    for name in ("uv", "npm"):
        program(checkout, name, f'echo "{name} $*" >>"$(pwd -P)/called"; echo "in $(pwd -P)"')
    done = make(checkout, "lock")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert set(said[::2]) == locks
    for lock, folder in zip(said[::2], said[1::2], strict=True):
        assert folder == f"in {(checkout / lock).parent.resolve()}"
    called = {path.parent: path.read_text() for path in checkout.rglob("called")}
    for lock in locks:
        (line,) = [
            line
            for line in called[(checkout / lock).parent].splitlines()
            if line.startswith("npm ") or f"-o {Path(lock).name} " in line
        ]
        assert "--before=" in line or line.endswith("--upgrade --exclude-newer 14 days")


def test_lock_fails_as_its_program_does(checkout: Path) -> None:
    (checkout / "requirements").mkdir()
    for name in ("one.in", "one.txt"):
        (checkout / "requirements" / name).touch()
    program(checkout, "uv", "exit 2")
    assert make(checkout, "lock").returncode != 0
