"""parrotpark_program puts one executable file on a host, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    task = {"parrotpark_program": {"module": "parrotpark.gpu_host.join", "dest": str(tmp_path / "join")}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump([play]))
    return path


def run(playbook: Path, *options: str) -> str:
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(playbook), *options]
    env = os.environ | {"ANSIBLE_INVENTORY_ENABLED": "host_list"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_program_is_installed_once_and_mended_when_it_was_spoiled(playbook: Path, tmp_path: Path) -> None:
    file = tmp_path / "join"
    plan = run(playbook, "--check", "--diff")
    assert f"+++ after: {file}" in plan
    assert "+parrotpark/gpu_host/join.py" in plan
    assert not file.exists()
    assert "changed=1" in run(playbook)
    assert "usage: parrotpark-join" in subprocess.run([file, "--help"], capture_output=True, text=True).stdout
    assert "changed=0" in run(playbook)
    file.write_text("spoiled")
    assert "changed=1" in run(playbook)
    assert file.stat().st_mode & 0o777 == 0o755
