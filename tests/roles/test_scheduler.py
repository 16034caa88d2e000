"""What opens a cloud is on the entry server as long as the cloud is named, and no longer."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.roles.test_bare_host import play


def write(folder: Path, credentials: dict[str, str], *arguments: str) -> set[str]:
    """Let the role write what opens these clouds into a folder of this machine; return which tasks change something."""
    role = {"name": "scheduler", "tasks_from": "credentials"}
    tasks = [{"ansible.builtin.import_role": role, "vars": {"scheduler_credentials": credentials}}]
    playbook = folder.parent / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "entry", "gather_facts": False, "tasks": tasks}]))
    here = json.dumps({"__scheduler_credentials": str(folder)})
    results = play(playbook, folder.parent / "hosts.yml", "-e", here, *arguments)
    assert "topsecret" not in str(results)
    return {name.split()[2] for name, result in results.items() if result["changed"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's")
def test_what_opens_a_cloud_goes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "gpu_token").write_text("of before")
    both = {"gpu": "topsecret-1", "my-gpu": "topsecret-2"}
    assert write(folder, both) == {"Write", "Delete"}
    assert {file.name: file.read_text().strip() for file in folder.iterdir()} == both
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert write(folder, both) == set()
    assert write(folder, {"gpu": "topsecret-1"}, "--check") == {"Delete"}
    assert len(list(folder.iterdir())) == 2
    write(folder, {"gpu": "topsecret-1"})
    assert [file.name for file in folder.iterdir()] == ["gpu"]
