"""Every role refuses wrong input by the name of the option, and its defaults, spec and pages agree."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROLES = Path(__file__).parents[2] / "roles"
SPECS: dict[str, dict[str, Any]] = {
    path.parent.parent.name: yaml.safe_load(path.read_text())["argument_specs"]
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))
}
SECRET = re.compile(r"(password|secret|token|(?<!public_)key)$")
A_SECRET = "correct-horse-battery-staple"

VALID: Mapping[str, Any] = {
    "str": "x",
    "path": "/x",
    "int": 1,
    "float": 1.5,
    "bool": True,
    "dict": {},
    "list": [],
    "json": "[]",
}
# No value is wrong for str, path and raw: Ansible turns everything into text.
WRONG: Mapping[str, Any] = {
    "int": "many",
    "float": "many",
    "bool": "perhaps",
    "dict": ["x"],
    "list": {"x": 1},
    "json": 1,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a role's tasks that a playbook may begin with."""

    role: str
    name: str = "main"

    def __str__(self) -> str:
        return self.role if self.name == "main" else f"{self.role}/{self.name}"

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = SPECS[self.role][self.name]["options"]
        return options


ENTRIES = [Entry(role, name) for role, spec in SPECS.items() for name in spec]


@dataclass(frozen=True, slots=True)
class Offer:
    """An option and how to get there: keys of dicts from the outermost inwards."""

    entry: Entry
    path: tuple[str, ...]
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return ".".join((str(self.entry), *self.path))

    @property
    def name(self) -> str:
        return self.path[-1]

    def arguments(self, value: Any) -> dict[str, Any]:
        """The role's arguments: as few as the spec allows, with this one as given."""
        return arguments_with({"options": self.entry.options}, self.path, value)

    def without(self) -> dict[str, Any]:
        """The same without this one."""
        arguments = self.arguments(None)
        inner = arguments
        for key in self.path[:-1]:
            inner = inner[key][0] if isinstance(inner[key], list) else inner[key]
        del inner[self.name]
        return arguments


def valid(spec: Mapping[str, Any]) -> Any:
    """The smallest value that the spec of one option allows."""
    if spec.get("no_log") and spec.get("type", "str") == "str":
        return A_SECRET
    if "choices" in spec:
        return spec["choices"][0]
    if spec.get("type") == "dict" and "options" in spec:
        return minimal(spec)
    return VALID[spec.get("type", "str")]


def minimal(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest dict that a spec with `options` allows."""
    needed = {name for name, option in spec["options"].items() if option.get("required", False)}
    needed |= {alternatives[0] for alternatives in spec.get("required_one_of", [])}
    for together in spec.get("required_together", []):
        needed |= set(together) if needed & set(together) else set()
    return {name: valid(spec["options"][name]) for name in spec["options"] if name in needed}


def arguments_with(spec: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    key, *rest = path
    excluded = {name for names in spec.get("mutually_exclusive", []) if key in names for name in names} - {key}
    for together in spec.get("required_together", []):
        excluded |= set(together) if excluded & set(together) else set()
    arguments = {name: given for name, given in minimal(spec).items() if name not in excluded}
    option = spec["options"][key]
    if not rest:
        arguments[key] = value
    else:
        inner = arguments_with(option, tuple(rest), value)
        arguments[key] = [inner] if option["type"] == "list" else inner
    return arguments


def places(entry: Entry) -> Iterator[Offer]:
    def walk(options: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Offer]:
        for name, spec in options.items():
            yield Offer(entry, (*path, name), spec)
            yield from walk(spec.get("options", {}), (*path, name))

    yield from walk(entry.options, ())


EVERY_PLACE = [place for entry in ENTRIES for place in places(entry)]
TYPED = [place for place in EVERY_PLACE if place.spec.get("type") in WRONG]
CHOSEN = [place for place in EVERY_PLACE if "choices" in place.spec]
REQUIRED = [place for place in EVERY_PLACE if place.spec.get("required")]


def errors(entry: Entry, arguments: dict[str, Any]) -> str:
    """What Ansible says to these arguments, as it does before the first task."""
    validator = ArgumentSpecValidator(entry.options)
    result = validator.validate(arguments, validate_role_argument_spec=True)
    return "\n".join(result.error_messages)


def test_every_role_has_a_spec() -> None:
    assert SPECS.keys() == {path.name for path in ROLES.iterdir()}


def other_entries(play: Any) -> Iterator[Entry]:
    """Those that something in a playbook begins with by `tasks_from`."""
    if isinstance(play, dict) and "tasks_from" in play:
        yield Entry(play["name"], play["tasks_from"])
    if isinstance(play, dict | list):
        for part in play.values() if isinstance(play, dict) else play:
            yield from other_entries(part)


def test_every_entry_point_has_a_spec() -> None:
    """Ansible checks nothing where there is none."""
    playbooks = [yaml.safe_load(file.read_text()) for file in ROLES.glob("../playbooks/*.yml")]
    assert set(ENTRIES) == {*(Entry(role) for role in SPECS), *other_entries(playbooks)}


def test_every_entry_point_is_refused_something() -> None:
    assert {place.entry for place in (*TYPED, *CHOSEN, *REQUIRED)} == {entry for entry in ENTRIES if entry.options}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_accepts_the_least(entry: Entry) -> None:
    assert errors(entry, minimal({"options": entry.options})) == ""


@pytest.mark.parametrize("place", EVERY_PLACE, ids=str)
def test_accepts_what_is_right(place: Offer) -> None:
    """So that what the tests below are refused is refused for the one thing that is wrong."""
    value = [minimal(place.spec)] if place.spec["type"] == "list" and "options" in place.spec else valid(place.spec)
    assert errors(place.entry, place.arguments(value)) == ""


@pytest.mark.parametrize("place", TYPED, ids=str)
def test_refuses_a_wrong_type(place: Offer) -> None:
    said = errors(place.entry, place.arguments(WRONG[place.spec["type"]]))
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", CHOSEN, ids=str)
def test_refuses_what_is_no_choice(place: Offer) -> None:
    said = errors(place.entry, place.arguments("neither-of-them"))
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", REQUIRED, ids=str)
def test_refuses_a_missing_one(place: Offer) -> None:
    said = errors(place.entry, place.without())
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", [place for place in EVERY_PLACE if "options" in place.spec], ids=str)
def test_refuses_an_unknown_key(place: Offer) -> None:
    inner = {**minimal(place.spec), "surprise": A_SECRET}
    said = errors(place.entry, place.arguments([inner] if place.spec["type"] == "list" else inner))
    assert "surprise" in said
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", EVERY_PLACE, ids=str)
def test_is_typed_to_the_bottom(place: Offer) -> None:
    spec = place.spec
    assert spec["type"] in VALID
    assert spec["description"]
    if spec["type"] == "list":
        assert "elements" in spec
        assert ("options" in spec) == (spec["elements"] == "dict")
    assert not (spec.get("required") and "default" in spec)


@pytest.mark.parametrize(
    "place",
    [place for place in EVERY_PLACE if place.spec["type"] == "str" and SECRET.search(place.name)],
    ids=str,
)
def test_keeps_secrets_out_of_logs(place: Offer) -> None:
    assert place.spec.get("no_log") is True


@pytest.mark.parametrize("role", SPECS)
def test_defaults_and_spec_agree(role: str) -> None:
    file = ROLES / role / "defaults/main.yml"
    defaults = yaml.safe_load(file.read_text()) if file.exists() else {}
    options = [option for entry in ENTRIES if entry.role == role for option in entry.options.items()]
    assert defaults.keys() <= dict(options).keys()
    assert [name for name, spec in options if spec.get("default") != defaults.get(name)] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_names_are_the_roles_own(entry: Entry) -> None:
    assert [name for name in entry.options if not re.match(rf"{entry.role}(_|$)", name)] == []


def refused(tmp_path: Path, play: Mapping[str, Any]) -> str:
    """What the whole of Ansible says to a play that it refuses."""
    local = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**local, **play}]))
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nroles_path = {ROLES}\n")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-vvv", "play.yml"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 2
    return done.stdout + done.stderr


def test_a_run_ends_before_the_first_task(tmp_path: Path) -> None:
    """What the tests above ask the validator, once through the whole of Ansible."""
    databases = [{"name": "x", "owner": "x", "password": A_SECRET, "colour": "blue"}]
    values = {"postgresql_port": "many", "postgresql_databases": databases}
    said = refused(tmp_path, {"roles": ["postgresql"], "vars": values})
    assert "postgresql_port" in said
    assert "colour" in said
    assert "Reject names that PostgreSQL would need quoted" not in said
    assert A_SECRET not in said


def test_a_run_of_another_entry_point_does_too(tmp_path: Path) -> None:
    task = {"ansible.builtin.import_role": {"name": "open_webui", "tasks_from": "password"}}
    said = refused(tmp_path, {"tasks": [task]})
    assert "missing required arguments: open_webui_account" in said
    assert "Set a new password" not in said
