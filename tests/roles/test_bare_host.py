"""On a host that nothing was installed on yet, what only looks says so in a line, and does not fail."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def play(playbook: Path, inventory: Path, *arguments: str) -> dict[str, Any]:
    """Run the playbook on this machine as the host `entry`; return the last result of every task by its name."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": "auto_silent"}
    inventory.write_text(json.dumps({"entry": {"hosts": {"entry-server": host}}}))
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = ["ansible-playbook", "-i", str(inventory), str(playbook), *arguments]
    done = subprocess.run(command, cwd=inventory.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    plays = json.JSONDecoder().raw_decode(done.stdout)[0]["plays"]  # behind it our callbacks tell times
    tasks = [task for each in plays for task in each["tasks"] if "entry-server" in task["hosts"]]
    return {task["task"]["name"]: task["hosts"]["entry-server"] for task in tasks}


@pytest.mark.skipif(Path("/usr/local/sbin/parrotpark").exists(), reason="this machine has a scheduler")
def test_status_says_that_the_scheduler_is_missing(tmp_path: Path) -> None:
    results = play(ROOT / "playbooks/status.yml", tmp_path / "hosts.yml")
    assert results["Show what it says"]["msg"] == "the scheduler is not installed yet: run make site"


@pytest.mark.parametrize(("content", "wish"), [(None, "awake"), ("asleep\n", "asleep"), ("awake 2\n", "awake 2")])
def test_the_wish_is_told_and_is_awake_where_there_is_none_yet(tmp_path: Path, content: str | None, wish: str) -> None:
    file = tmp_path / "wish"
    if content:
        file.write_text(content)
    playbook = tmp_path / "play.yml"
    roles = [{"role": "wish", "wish_file": str(file)}]
    playbook.write_text(json.dumps([{"hosts": "entry", "gather_facts": False, "roles": roles}]))
    results = play(playbook, tmp_path / "hosts.yml", "--check")
    assert results["wish : Tell the wish"]["ansible_facts"]["wish_now"] == wish
    assert file.exists() is (content is not None)
