"""What people see of a run, and what the log keeps of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PLAY = {
    "name": "Feed the parrots",
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [
        {"name": "Look at what is there", "ansible.builtin.command": {"argv": ["echo", "a cage"]}},
        {"name": "Tell people", "ansible.builtin.debug": {"msg": "Two were hungry."}},
    ],
}
FAILS = {"name": "Open the cage", "ansible.builtin.fail": {"msg": "the key is lost: look under the mat"}}


@dataclass(frozen=True, slots=True)
class Run:
    status: int
    screen: list[str]
    log: str


def run(folder: Path, *tasks: object, roles: tuple[str, ...] = ()) -> Run:
    for role in roles:
        (folder / "roles" / role / "tasks").mkdir(parents=True, exist_ok=True)
        task = {"name": "Fill it", "ansible.builtin.command": {"argv": ["true"]}}
        (folder / "roles" / role / "tasks/main.yml").write_text(yaml.safe_dump([task]))
    (folder / "play.yml").write_text(yaml.safe_dump([{**PLAY, "roles": [*roles], "tasks": [*PLAY["tasks"], *tasks]}]))  # type: ignore[misc]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "parrotpark_progress",
        "ANSIBLE_LOG_PATH": str(folder / "run.log"),
        "ANSIBLE_INVENTORY_ENABLED": "host_list",
        "PARROTPARK_DURATIONS": str(folder / "durations"),
    }
    command = ["ansible-playbook", "-i", ",", str(folder / "play.yml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return Run(done.returncode, done.stdout.splitlines(), (folder / "run.log").read_text())


def test_a_step_is_one_line_and_the_log_has_all(tmp_path: Path) -> None:
    done = run(tmp_path, roles=("bowl", "perch"))
    assert [re.sub(r"^ *\d+ s  ", "", line).strip() for line in done.screen] == [
        "Feed the parrots: bowl",
        "Feed the parrots: perch",
        "Feed the parrots",
        "Two were hungry.",
        "localhost: 3 changed",
    ]
    for name in ("PLAY [Feed the parrots]", "TASK [bowl : Fill it]", "TASK [Look at what is there]", "changed=3"):
        assert name in done.log


def test_it_says_how_long_a_step_usually_takes(tmp_path: Path) -> None:
    (tmp_path / "durations").write_text(json.dumps({"step": "Feed the parrots", "seconds": 41.0, "at": 0}) + "\n")
    assert "  Feed the parrots (usually 41 s)" in run(tmp_path).screen[0]
    assert [json.loads(line)["step"] for line in (tmp_path / "durations").read_text().splitlines()] == [
        "Feed the parrots",
        "Feed the parrots",
    ]


def test_a_failure_shows_its_own_words_and_the_next_step(tmp_path: Path) -> None:
    done = run(tmp_path, FAILS)
    screen = "\n".join(done.screen)
    assert done.status == 2
    assert "the key is lost: look under the mat" in screen
    assert "Open the cage" in screen
    assert done.screen[-1].endswith(f"The whole log: {tmp_path}/run.log")
    assert "localhost: failed" in screen
    assert "Look at what is there" not in screen
    # How long it took until it failed says nothing.
    assert not (tmp_path / "durations").exists()
