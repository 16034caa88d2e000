"""Debian's `hcloud` command, unchanged, drives the local cloud's API."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cloud_in_memory import PUBLIC_KEY, Served, serving

type Hcloud = Callable[..., str]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def hcloud(cloud: Served) -> Hcloud:
    """Run the command; returns what it prints, raises CalledProcessError where it fails."""
    program = shutil.which("hcloud") or pytest.fail("there is no `hcloud` here: apt-get install hcloud-cli")

    def run(*arguments: str) -> str:
        environment = {**os.environ, **cloud.environment}
        done = subprocess.run(
            [program, *arguments],
            env=environment,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout

    return run


def refusal(hcloud: Hcloud, *arguments: str) -> str:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        hcloud(*arguments)
    return str(failed.value.output)


def test_life_of_a_server(hcloud: Hcloud, cloud: Served, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(PUBLIC_KEY)
    hcloud("ssh-key", "create", "--name", "me", "--public-key-from-file", str(key))
    create = ("server", "create", "--type", "cx33", "--image", "debian-13", "--location", "nbg1", "--ssh-key", "me")
    assert "10.77.0.10" in hcloud(*create, "--name", "entry", "--label", "a=b")
    assert "name is already used" in refusal(hcloud, *create, "--name", "entry")
    listed = hcloud("server", "list", "-l", "a in (b,c),!d", "-o", "noheader", "-o", "columns=name,status,ipv4,labels")
    assert listed.split() == ["entry", "running", "10.77.0.10", "a=b"]

    def asked_of_the_machine(*arguments: str) -> list[str]:
        before = len(cloud.backend.calls)
        hcloud("server", *arguments, "entry")
        return cloud.backend.calls[before:]

    start = ["filter", "attach_volumes", "start"]
    assert asked_of_the_machine("reboot") == ["stop", *start]
    assert asked_of_the_machine("reset") == ["pull", *start]
    assert asked_of_the_machine("shutdown") == ["stop"]
    assert asked_of_the_machine("poweron") == start
    assert asked_of_the_machine("poweroff") == ["pull"]
    assert not cloud.backend.on
    snapshot = ("create-image", "--type", "snapshot", "--description", "golden")
    assert asked_of_the_machine(*snapshot) == ["snapshot"]
    assert "golden" in hcloud("image", "list", "--type", "snapshot")
    assert asked_of_the_machine("rebuild", "--image", "debian-13") == ["pull", "delete", "create", *start]
    hcloud("server", "add-label", "entry", "c=d")
    assert hcloud("server", "list", "-l", "c=d", "-o", "noheader", "-o", "columns=name") == "entry\n"
    hcloud("server", "enable-protection", "entry", "delete", "rebuild")
    assert "(protected)" in refusal(hcloud, "server", "delete", "entry")
    hcloud("server", "disable-protection", "entry", "delete", "rebuild")
    hcloud("server", "delete", "entry")
    assert not cloud.backend.machines


def test_volumes(hcloud: Hcloud, cloud: Served) -> None:
    hcloud("server", "create", "--name", "entry", "--type", "cx23", "--image", "debian-13", "--location", "fsn1")
    hcloud("volume", "create", "--name", "data", "--size", "10", "--location", "fsn1")
    hcloud("volume", "attach", "data", "--server", "entry")
    assert [len(volumes) for volumes in cloud.backend.shown.values()] == [1]
    assert "entry" in hcloud("volume", "list")
    assert "(service_error)" in refusal(hcloud, "volume", "delete", "data")
    hcloud("volume", "detach", "data")
    assert [*cloud.backend.shown.values()] == [()]
    hcloud("volume", "resize", "data", "--size", "20")
    assert [*cloud.backend.volumes.values()] == [20]
    hcloud("volume", "delete", "data")
    assert not cloud.backend.volumes


def test_firewalls(hcloud: Hcloud, cloud: Served) -> None:
    hcloud("server", "create", "--name", "entry", "--type", "cx23", "--image", "debian-13")
    hcloud("firewall", "create", "--name", "ssh")
    ssh = ("--direction", "in", "--protocol", "tcp", "--port", "22", "--source-ips", "0.0.0.0/0")
    hcloud("firewall", "add-rule", "ssh", *ssh)
    hcloud("firewall", "apply-to-resource", "ssh", "--type", "server", "--server", "entry")
    rules = cloud.backend.rules["10.77.0.10"]
    assert rules is not None
    assert [(rule.direction, rule.protocol, rule.port) for rule in rules] == [("in", "tcp", "22")]
    assert "still in use" in refusal(hcloud, "firewall", "delete", "ssh")
    hcloud("firewall", "remove-from-resource", "ssh", "--type", "server", "--server", "entry")
    assert cloud.backend.rules == {"10.77.0.10": None}
    hcloud("firewall", "delete", "ssh")


KINDS = """
    certificate firewall floating-ip image iso load-balancer location network placement-group primary-ip server
    server-type ssh-key volume
"""


@pytest.mark.parametrize("kind", KINDS.split())
def test_everything_can_be_listed(hcloud: Hcloud, kind: str) -> None:
    assert "ID" in hcloud(kind, "list")


def test_refusals_are_said_in_one_line(hcloud: Hcloud) -> None:
    create = ("server", "create", "--name", "x", "--image", "debian-13", "--type", "gpu-l40s", "--location", "fsn1")
    said = "hcloud: invalid input in field 'location': unsupported location for server type (invalid_input)\n"
    assert refusal(hcloud, *create) == said
    assert "(deprecated_api_endpoint)" in refusal(hcloud, "datacenter", "list")
