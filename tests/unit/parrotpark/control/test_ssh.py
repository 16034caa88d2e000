"""OpenSSH itself understands how hosts are reached."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import PurePath

from parrotpark.control.ssh import connection

DIRECTORY = PurePath("/var/lib/my parrots/ssh")


def understood(arguments: str, address: str) -> dict[str, str]:
    """Return the settings that OpenSSH takes from the arguments."""
    command = ["ssh", "-F", "none", "-G", *shlex.split(arguments), address]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


def test_the_entry_server_is_reached_directly_and_must_show_its_key() -> None:
    variables = connection("entry", "192.0.2.1", DIRECTORY, None)
    assert variables["ansible_host"] == "192.0.2.1"
    assert variables["ansible_user"] == "root"
    assert variables["ansible_ssh_private_key_file"] == "/var/lib/my parrots/ssh/id_ed25519"
    settings = understood(variables["ansible_ssh_common_args"], "192.0.2.1")
    assert settings["hostkeyalias"] == "entry"
    assert settings["stricthostkeychecking"] in ("yes", "true")
    assert settings["identitiesonly"] == "yes"
    assert "proxycommand" not in settings


def test_a_gpu_host_is_reached_through_the_entry_server() -> None:
    variables = connection("gpu-1", "192.0.2.7", DIRECTORY, ("entry", "192.0.2.1"))
    settings = understood(variables["ansible_ssh_common_args"], "192.0.2.7")
    assert settings["hostkeyalias"] == "gpu-1"
    hop = shlex.split(settings["proxycommand"])
    assert hop[-3:] == ["-W", "%h:%p", "root@192.0.2.1"]
    jump = understood(shlex.join(hop[1:-3]), "192.0.2.1")
    assert jump["hostkeyalias"] == "entry"
    assert jump["stricthostkeychecking"] in ("yes", "true")
