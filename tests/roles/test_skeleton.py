"""Who knows one role finds their way in all: the same files in the same order, and one way to restart what changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
# What main.yml imports, in this order, and how it says so. Further files come between or after, never first.
STEPS = {
    "preflight": "Check the arguments and the host",
    "install": "Install ",
    "configure": "Configure ",
    "service": "Run ",
}
IMPORT = "ansible.builtin.import_tasks"
FLUSH = {"name": "Apply what has changed", "ansible.builtin.meta": "flush_handlers"}
# Too little to part into steps
ONE_FILE = {"endpoints", "golden_image", "cloud_project", "object_storage", "seal", "wish"}
WRITES = ("copy", "template", "parrotpark_program")
# Files whose readers read them at each use, so that nothing has to be told.
READ_AT_EACH_USE = {
    "base": {
        "Stop the kernel from loading modules that no server needs",
        "End idle shells",
        "Choose whether updates are unattended",
    },
    "keycloak": {"Write the program that creates admin accounts"},
    "mongodb": {"Note which release series the data will be of"},
    "nvidia": {"Keep unattended upgrades off the driver and the kernel"},
    "people": {"Write the configuration"},
    "scheduler": {"Write the slots", "Write the configuration"},
    "vllm": {"Install the program that validates configurations"},
}
COMPARES = {"litellm"}  # its service.yml compares what runs with what it was started from
JUDGES_WHAT_IT_FETCHED = {"caddy/key.yml", "nvidia/key.yml"}  # no preflight could


def every(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks, those within blocks included."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from every(task.get(part, []))


def restarts(task: dict[str, Any]) -> bool:
    """Whether it restarts or reloads a unit or systemd itself, by whichever module."""
    asked = [value for key, value in task.items() if "." in key]
    return re.search(r"'(restarted|reloaded)'|daemon_reexec|systemctl", str(asked)) is not None


def flaws(role: Path) -> Iterator[str]:
    """What is unlike the skeleton, each with where it is."""
    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(role.glob("tasks/*.yml"))}
    entries = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    main = {Path(task[IMPORT]).stem: task["name"] for task in files["main"] if IMPORT in task}
    if bool(main) is (role.name in ONE_FILE):
        yield "main.yml imports nothing" if not main else "it is no role of one file"
    if not (role / "meta/main.yml").exists():
        yield "there is no meta/main.yml"
    if main and len(main) < len(files["main"]):
        yield "main.yml imports, and does something itself"
    if [step for step in main if step in STEPS] != [step for step in STEPS if step in main]:
        yield f"main.yml imports in another order: {', '.join(main)}"
    if main and next(iter(main)) != "preflight":
        yield "main.yml does not import preflight.yml first"
    begins = {name for step, name in main.items() if step in STEPS and not name.startswith(STEPS[step])}
    yield from (f"main.yml calls a step '{name}'" for name in sorted(begins))
    subjects = {name.partition(" ")[2] for step, name in main.items() if step in STEPS and step != "preflight"}
    if len(subjects) > 1:
        yield f"main.yml has several names for one thing: {', '.join(sorted(subjects))}"
    for entry in entries:
        yield from (f"{entry}.yml: no tag on '{t['name']}'" for t in files[entry] if role.name not in t.get("tags", []))

    texts = [file.read_text() for file in role.glob("tasks/*.yml")]
    named = {name for text in texts for name in re.findall(r"(?:import_tasks|file): (\w+)\.yml", text)}
    yield from (f"nobody imports {name}.yml" for name in sorted(files.keys() - entries.keys() - named))

    for name, tasks in files.items():
        for task in every(tasks):
            if restarts(task):
                yield f"{name}.yml: '{task['name']}' is for a handler"
            judges = "ansible.builtin.assert" in task and name != "preflight"
            if judges and f"{role.name}/{name}.yml" not in JUDGES_WHAT_IT_FETCHED:
                yield f"{name}.yml: '{task['name']}' belongs into preflight.yml"
            if "notify" in task and "service" not in main:
                yield f"{name}.yml: nothing applies what '{task['name']}' changes"
    if (role / "handlers").exists() and role.name not in COMPARES:
        written = [task for task in every(files["configure"]) if any(key.endswith(WRITES) for key in task)]
        silent = {task["name"] for task in written if "notify" not in task} ^ READ_AT_EACH_USE.get(role.name, set())
        yield from (f"configure.yml: nobody is told of '{name}'" for name in sorted(silent))
    if (role / "handlers").exists():
        (run, *others) = files["service"]
        first = next((task for task in run.get("block", []) if "notify" not in task), None)
        if others or first != FLUSH or "rescue" not in run or run["name"] != main.get("service"):
            yield "service.yml is not one block, named as in main.yml, that applies what has changed or tells why not"


@pytest.mark.parametrize("role", [path.name for path in sorted(ROLES.iterdir())])
def test_a_role_has_the_skeleton(role: str) -> None:
    assert list(flaws(ROLES / role)) == []
