"""What every task of a kind says, so that nothing depends on a default of the host or of Ansible."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
PLUGINS = ROLES.parent / "plugins"


def documented(module: Path) -> dict[str, Any]:
    """What a module of ours takes."""
    said = yaml.safe_load(runpy.run_path(str(module))["DOCUMENTATION"])
    options = dict(said.get("options", {}))
    for name in said.get("extends_documentation_fragment", []):
        file, _, part = name.partition(".")
        fragment = runpy.run_path(str(PLUGINS / "doc_fragments" / f"{file}.py"))["ModuleDocFragment"]
        options |= yaml.safe_load(getattr(fragment, part.upper() or "DOCUMENTATION"))["options"]
    return options


OWN = {path.stem: documented(path) for path in PLUGINS.glob("modules/*.py")}


@cache
def needed(module: str) -> list[list[str]]:
    """List what a task of this module cannot do without, each by all of its names, its own first."""
    if module in OWN:
        options = OWN[module]
    else:
        space, collection, name = module.split(".")
        others = f"ansible_collections.{space}.{collection}.plugins.modules"
        folder = "ansible.modules" if collection == "builtin" else others
        options = yaml.safe_load(importlib.import_module(f"{folder}.{name}").DOCUMENTATION).get("options", {})
    return [
        [name, *option.get("aliases", [])]
        for name, option in options.items()
        if option.get("required") and name not in ("free_form", "key_value")  # which have no name in a task
    ]


ON_THE_CONTROL_MACHINE = ("endpoints",)  # whoever runs Ansible there is the owner
WRITING = ("ansible.builtin.copy", "ansible.builtin.file", "ansible.builtin.get_url", "ansible.builtin.template")
# For root alone, though what they hold is in the inventory for all to see.
NO_SECRETS = ("Write the environment of every model", "Write the environment of Ray")
# A condition that asks how another task has ended.
ENDED = re.compile(r"(\w+)\.(?:rc|status)\b[^']*!= \d")

type Task = Mapping[str, Any]


def flat(tasks: list[dict[str, Any]]) -> Iterator[Task]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from flat(task.get(part, []))


EVERY_TASK: list[tuple[Path, Task]] = [
    (path.relative_to(ROLES), task)
    for path in sorted((*ROLES.glob("*/tasks/*.yml"), *ROLES.glob("*/handlers/*.yml")))
    for task in flat(yaml.safe_load(path.read_text()))
]


@pytest.mark.parametrize(
    ("role", "task"),
    [pytest.param(file.parts[0], task, id=f"{file}: {task['name']}") for file, task in EVERY_TASK],
)
def test_a_task_says_all_that_tasks_of_its_kind_say(role: str, task: Task) -> None:
    missing = [f"{module}: {name}" for module in task for name in unsaid(role, module, task[module])]
    if isinstance(task.get("loop"), list) and any(isinstance(item, dict) for item in task["loop"]):
        missing += [] if "label" in task.get("loop_control", {}) else ["loop_control: label"]
    assert missing == []


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=f"{file}: {task['name']}")
        for file, task in EVERY_TASK
        if any(task.get(module, {}).get("mode") == "0600" for module in WRITING) and task["name"] not in NO_SECRETS
    ],
)
def test_a_secret_that_is_written_is_not_shown(task: Task) -> None:
    assert task.get("no_log") is True or task.get("diff") is False


@pytest.mark.parametrize(
    "template", sorted(ROLES.glob("*/templates/*.j2")), ids=lambda path: f"{path.parts[-3]}: {path.name}"
)
def test_a_template_is_written_by_a_task(template: Path) -> None:
    role, name = template.parts[-3], template.name.removesuffix(".j2")
    tasks = [str(task) for file, task in EVERY_TASK if file.parts[0] == role and "block" not in task]
    named = [text for text in tasks if "ansible.builtin.template" in text]
    assert any(name in text for text in [*named, *(path.read_text() for path in ROLES.glob(f"{role}/vars/*.yml"))])


def told_by_a_later_task() -> Iterator[Any]:
    """Yield each task whose failure another one tells of in words of its own."""
    registered = {(file, task["register"]): task for file, task in EVERY_TASK if "register" in task}
    for file, task in EVERY_TASK:
        if "ansible.builtin.fail" in task and (ended := ENDED.search(str(task.get("when")))):
            yield pytest.param(registered[file, ended[1]], id=f"{file}: {task['name']}")


@pytest.mark.parametrize("task", list(told_by_a_later_task()))
def test_a_failure_that_is_told_later_does_not_end_the_run(task: Task) -> None:
    assert task.get("failed_when") is False


def unsaid(role: str, module: str, arguments: Any) -> set[str]:
    """Name what the task does not say of what it has to."""
    if ("." not in module and module not in OWN) or isinstance(arguments, str):
        return set()  # a keyword, or a module that is told one thing
    arguments = arguments or {}
    names = {option[0] for option in needed(module) if not set(option) & set(arguments)}
    if module in OWN:
        assert arguments.keys() <= OWN[module].keys()  # ansible-lint knows the modules of others
    elif module in WRITING and arguments.get("state") not in ("absent", "link", "hard"):
        names |= {"owner", "group"} if role not in ON_THE_CONTROL_MACHINE else set()
        names |= {"mode"} if "recurse" not in arguments else set()  # that hands over what is there, as it is
        names |= {"state"} if module == "ansible.builtin.file" else set()
    elif module == "ansible.builtin.assert":
        names |= {"fail_msg", "quiet"}
    elif module == "ansible.builtin.user":
        names |= {"system", "home", "create_home", "shell"} | ({"group"} if "uid" in arguments else set())
    elif module == "ansible.builtin.systemd_service" and {"state", "enabled"} & set(arguments):
        names |= {"name"}
    elif module == "ansible.builtin.script":
        names |= {"executable"}
    elif module == "ansible.builtin.apt" and "name" in arguments:
        names |= {"install_recommends"}
    return names - set(arguments)
