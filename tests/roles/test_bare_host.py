"""On a host that nothing was installed on yet, what only looks says so in a line, and does not fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def play(playbook: Path, inventory: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run the playbook on this machine as the host `entry`; return the last result of every task by its name."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"entry": {"hosts": {"entry-server": host}}}))
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = ["ansible-playbook", "-i", str(inventory), str(playbook), *arguments]
    done = subprocess.run(command, cwd=inventory.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    plays = json.JSONDecoder().raw_decode(done.stdout)[0]["plays"]  # behind it our callbacks tell times
    tasks = [task for each in plays for task in each["tasks"] if "entry-server" in task["hosts"]]
    return {task["task"]["name"]: task["hosts"]["entry-server"] for task in tasks}


@pytest.mark.skipif(Path("/usr/local/sbin/parrotpark").exists(), reason="this machine has a scheduler")
def test_status_says_that_the_scheduler_is_missing(tmp_path: Path) -> None:
    results = play(ROOT / "playbooks/status.yml", tmp_path / "hosts.yml")
    assert results["Show what it says"]["msg"] == "the scheduler is not installed yet: run make site"


def tell_wish(folder: Path, content: str | None, status: int = 0) -> dict[str, Any]:
    """Run the role in check mode where the file has this content; return what telling it came to."""
    file = folder / "wish"
    if content is not None:
        file.write_text(content)
    playbook = folder / "play.yml"
    roles = [{"role": "wish", "wish_file": str(file), "wish_slots": 3}]
    playbook.write_text(json.dumps([{"hosts": "entry", "gather_facts": False, "roles": roles}]))
    result: dict[str, Any] = play(playbook, folder / "hosts.yml", "--check", status=status)["wish : Show the wish"]
    assert file.exists() is (content is not None)
    return result


@pytest.mark.parametrize(("content", "wish"), [(None, "awake"), ("asleep\n", "asleep"), ("awake  2 \n", "awake 2")])
def test_the_wish_is_told_and_is_awake_where_there_is_none_yet(tmp_path: Path, content: str | None, wish: str) -> None:
    assert tell_wish(tmp_path, content)["ansible_facts"]["wish_now"] == wish


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the wish '' is not a valid wish: write asleep, awake or awake N"),
        ("Asleep\n", "the wish 'Asleep' is not a valid wish: write asleep, awake or awake N"),
        ("awake 0\n", "the wish 'awake 0' is not a valid wish: write asleep, awake or awake N"),
        ("awake 4\n", "the wish is for 4 hosts, but there are 3 slots: wish for fewer"),
    ],
)
def test_what_is_no_wish_ends_the_run(tmp_path: Path, content: str, says: str) -> None:
    assert tell_wish(tmp_path, content, status=2)["msg"].endswith(says)
