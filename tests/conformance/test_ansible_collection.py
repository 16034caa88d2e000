"""The hetzner.hcloud collection, unchanged, keeps a project in the local cloud and lists it as an inventory."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud_in_memory import PUBLIC_KEY, Served, serving

HERE = Path(__file__).parent

type Play = Callable[..., list[str]]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "cloud") as served:
        yield served


def command(cloud: Served, directory: Path, *arguments: str) -> Any:
    """Run one of Ansible's commands away from the repository's settings; returns the JSON it prints."""
    settings = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_PIPELINING": "true"}
    environment = {**os.environ, **cloud.environment, **settings}
    done = subprocess.run(arguments, env=environment, cwd=directory, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout, object_hook=lambda fields: fields.get("__ansible_unsafe", fields))


@pytest.fixture
def play(cloud: Served, tmp_path: Path) -> Play:
    """Run a playbook of this folder; returns the names of the tasks that changed something, or would."""

    def run(playbook: str, *options: str, **variables: object) -> list[str]:
        variables["public_key"] = PUBLIC_KEY
        extra = f"--extra-vars={json.dumps(variables)}"
        result = command(cloud, tmp_path, "ansible-playbook", str(HERE / playbook), extra, *options)
        tasks = [task for play in result["plays"] for task in play["tasks"]]
        return [task["task"]["name"] for task in tasks if task["hosts"]["localhost"]["changed"]]

    return run


def test_life_of_a_project(play: Play, cloud: Served, tmp_path: Path) -> None:
    assert len(play("project.yml")) == 6  # the server brings its volume
    before = cloud.backend.calls.copy()
    assert play("project.yml") == []
    drifted = ["Keep the volume", "Keep the server"]
    assert play("project.yml", "--check", "--diff", role="gpu", size=20) == drifted
    assert cloud.backend.calls == before
    assert inventory(cloud, tmp_path) == ("10.77.0.10", "fsn1", "running", "debian-13")
    # What was asked for is what the machine's packets meet.
    rules = cloud.backend.rules["10.77.0.10"]
    assert rules is not None
    assert [(rule.direction, rule.protocol, rule.port) for rule in rules] == [
        ("in", "tcp", "22"),
        ("in", "tcp", "80-443"),
        ("in", "icmp", None),
        ("out", "udp", "53"),
    ]

    assert play("project.yml", role="gpu", size=20, power="stopped") == drifted
    assert list(cloud.backend.volumes.values()) == [20]
    assert not cloud.backend.on

    assert len(play("absent.yml")) == 8
    assert not cloud.backend.machines
    assert not cloud.backend.volumes
    assert not cloud.backend.rules


def inventory(cloud: Served, directory: Path) -> tuple[str, ...]:
    """What the inventory plugin says of the one host with the role `entry`."""
    source = directory / "hcloud.yml"
    source.write_text(
        "plugin: hetzner.hcloud.hcloud\n"
        "label_selector: parrotpark-role\n"
        "keyed_groups: [{key: \"hcloud_labels['parrotpark-role']\", prefix: role}]\n"
    )
    found = command(cloud, directory, "ansible-inventory", "-i", str(source), "--list")
    (host,) = found["role_entry"]["hosts"]
    facts = found["_meta"]["hostvars"][host]
    return facts["ansible_host"], facts["hcloud_location"], facts["hcloud_status"], facts["hcloud_image_name"]
