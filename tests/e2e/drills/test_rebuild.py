"""The entry server is lost with all but its data volume: a plan tells what a run will do, and the run brings everything
back, though the network fails on the way and it is killed again and again.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hcloud import Client
from testinfra.host import Host

from localcloud import paths

WRITERS = {"ansible.builtin.copy", "ansible.builtin.template", "ansible.builtin.apt"}
RESOLVERS = "/etc/resolv.conf"


@dataclass(frozen=True)
class Run:
    """What a run of site.yml reported, and which files and packages of the entry server it changed or would change."""

    status: int
    text: str
    changed: frozenset[str]


def site(*arguments: str) -> Run:
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_CALLBACKS_ENABLED": ""}
    run = subprocess.run(
        ["ansible-playbook", "site.yml", *arguments], env=environment, check=False, capture_output=True, text=True
    )
    tasks = [task for play in json.loads(run.stdout[run.stdout.index("{") :])["plays"] for task in play["tasks"]]
    results = [task["hosts"]["entry-server"] for task in tasks if "entry-server" in task["hosts"]]
    return Run(
        run.returncode, run.stdout + run.stderr, frozenset(what for result in results for what in written(result))
    )


def written(result: dict[str, Any]) -> Iterator[str]:
    """Name the file or the packages of a result, or of each of its items, that changed."""
    for each in result.get("results", [result]):
        if each.get("changed") and each.get("action", result.get("action")) in WRITERS:
            arguments = each.get("invocation", {}).get("module_args", {})
            yield str(arguments.get("dest") or arguments.get("name"))


def history(chat: httpx2.Client) -> list[str]:
    return sorted(entry["id"] for entry in chat.get("/api/v1/chats/").raise_for_status().json())


@pytest.fixture
def lost(browse_as_admin: httpx2.Client) -> list[str]:
    """Delete the entry server and let a bare one take its place; return the chats that it held."""
    browse_as_admin.post("/api/v1/chats/new", json={"chat": {"title": "Before the fire"}}).raise_for_status()
    chats = history(browse_as_admin)
    token = (paths.TOKENS / "entry").read_text()
    project = Client(token, api_endpoint=f"http://127.0.0.1:{paths.API_PORT}/v1", poll_interval=0.2)
    server = project.servers.get_by_name("entry-server")
    assert server
    server.delete().wait_until_finished()
    # Only the server itself: it boots, and nothing is on it.
    bare = ["ansible-playbook", "playbooks/entry.yml", "--tags", "hcloud_server"]
    subprocess.run(bare, check=True, capture_output=True)
    return chats


def files(entry: Host) -> str:
    return entry.check_output("find /etc /opt /usr/local /srv -xdev -type f -printf '%p %s %T@\\n' | sort; dpkg -l")


def test_a_plan_names_what_the_run_does(lost: list[str], entry: Host, browse_as_admin: httpx2.Client) -> None:
    before = files(entry)
    plan = site("--check", "--diff")
    assert plan.status == 0, plan.text
    assert files(entry) == before

    entry.check_output(f"cp {RESOLVERS} /root/resolvers && echo nameserver 192.0.2.53 >{RESOLVERS}")
    cut_off = site()
    entry.check_output(f"cp /root/resolvers {RESOLVERS} && rm /root/resolvers")
    assert cut_off.status == 2
    assert "Could not resolve" in cut_off.text or "Temporary failure resolving" in cut_off.text

    run = site()
    assert run.status == 0, run.text
    assert cut_off.changed | run.changed == plan.changed
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
