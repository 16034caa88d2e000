"""The entry server is lost with all but its data volume: a plan tells what a run will do, and the run brings everything
back, though the network fails on the way and it is killed again and again.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from testinfra.host import Host

from tests.machines import client

WRITERS = {"ansible.builtin.copy", "ansible.builtin.template", "ansible.builtin.apt", "parrotpark_program"}
RESOLVERS = "/etc/resolv.conf"


@dataclass(frozen=True)
class Run:
    """What a run of site.yml reported, and which tasks wrote files of the entry server or installed packages there."""

    status: int
    text: str
    changed: frozenset[str]


def site(*arguments: str) -> Run:
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    run = subprocess.run(
        ["ansible-playbook", "site.yml", "--diff", *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    report, _ = json.JSONDecoder().raw_decode(run.stdout, run.stdout.index("{"))  # timings follow it
    tasks = [task for play in report["plays"] for task in play["tasks"]]
    found = [(task["task"]["name"], task["hosts"]["entry-server"]) for task in tasks if "entry-server" in task["hosts"]]
    changed = frozenset(name for name, result in found if writes(result))
    return Run(run.returncode, run.stdout + run.stderr, changed)


def writes(result: dict[str, Any]) -> bool:
    """Tell whether a task, or one of its items, wrote a file or installed packages."""
    items = result.get("results", [result])
    return any(item.get("changed") and item.get("action", result.get("action")) in WRITERS for item in items)


def history(chat: httpx2.Client) -> list[str]:
    return sorted(entry["id"] for entry in chat.get("/api/v1/chats/").raise_for_status().json())


@pytest.fixture
def lost(browse_as_admin: httpx2.Client) -> list[str]:
    """Delete the entry server and let a bare one take its place; return the chats that it held."""
    browse_as_admin.post("/api/v1/chats/new", json={"chat": {"title": "Before the fire"}}).raise_for_status()
    chats = history(browse_as_admin)
    server = client("entry").servers.get_by_name("entry-server")
    assert server
    server.delete().wait_until_finished()
    # Only the server itself: it boots, and nothing is on it.
    bare = ["ansible-playbook", "playbooks/entry.yml", "--tags", "hcloud_server"]
    subprocess.run(bare, check=True, capture_output=True)
    return chats


def files(entry: Host) -> str:
    text: str = entry.check_output(
        "find /etc /opt /usr/local /srv -xdev -type f -printf '%p %s %T@\\n' | sort; dpkg -l"
    )
    return text


def test_a_plan_names_what_the_run_does(lost: list[str], entry: Host, browse_as_admin: httpx2.Client) -> None:
    before = files(entry)
    plan = site("--check")
    assert plan.status == 0, plan.text
    assert files(entry) == before

    # As if the plan had not just read the package index.
    entry.check_output("touch --date='2 hours ago' /var/lib/apt/lists /var/lib/apt/periodic/update-success-stamp")
    entry.check_output(f"cp {RESOLVERS} /root/resolvers && echo nameserver 192.0.2.53 >{RESOLVERS}")
    cut_off = site()
    entry.check_output(f"cp /root/resolvers {RESOLVERS} && rm /root/resolvers")
    assert cut_off.status == 2
    assert "entry-server cannot reach its package index" in cut_off.text

    run = site()
    assert run.status == 0, run.text
    done = cut_off.changed | run.changed
    assert len(done) > 20
    assert done <= plan.changed
    # What is on the data volume cannot be seen before it is mounted.
    assert plan.changed - done <= {"wish : Write the first wish"}
    assert history(browse_as_admin) == lost


def test_a_run_may_be_killed_at_any_moment(lost: list[str], browse_as_admin: httpx2.Client) -> None:
    for seconds in (15, 45, 80):
        # A session of its own, so that all that it started can be killed with it.
        run = subprocess.Popen(["make", "up"], start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        assert run.poll() is None, "it ended before it was killed"
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    done = subprocess.run(["make", "up"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert history(browse_as_admin) == lost
