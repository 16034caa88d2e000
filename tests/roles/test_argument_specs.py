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
SPECS = {path.parent.parent.name: path for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))}
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


def options_of(role: str) -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(SPECS[role].read_text())["argument_specs"]["main"]["options"]
    return options


@dataclass(frozen=True, slots=True)
class Offer:
    """An option and how to get there: keys of dicts from the outermost inwards."""

    role: str
    path: tuple[str, ...]
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return ".".join((self.role, *self.path))

    @property
    def name(self) -> str:
        return self.path[-1]

    def arguments(self, value: Any) -> dict[str, Any]:
        """The role's arguments: as few as the spec allows, with this one as given."""
        return arguments_with({"options": options_of(self.role)}, self.path, value)

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


def places(role: str) -> Iterator[Offer]:
    def walk(options: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Offer]:
        for name, spec in options.items():
            yield Offer(role, (*path, name), spec)
            yield from walk(spec.get("options", {}), (*path, name))

    yield from walk(options_of(role), ())


EVERY_PLACE = [place for role in SPECS for place in places(role)]


def errors(role: str, arguments: dict[str, Any]) -> str:
    """What Ansible says to these arguments, as it does before a role's first task."""
    validator = ArgumentSpecValidator(options_of(role))
    result = validator.validate(arguments, validate_role_argument_spec=True)
    return "\n".join(result.error_messages)


def test_every_role_has_a_spec() -> None:
    assert SPECS.keys() == {path.name for path in ROLES.iterdir()}


@pytest.mark.parametrize("role", SPECS)
def test_accepts_the_least(role: str) -> None:
    assert errors(role, minimal({"options": options_of(role)})) == ""


@pytest.mark.parametrize("place", EVERY_PLACE, ids=str)
def test_accepts_what_is_right(place: Offer) -> None:
    """So that what the tests below are refused is refused for the one thing that is wrong."""
    value = [minimal(place.spec)] if place.spec["type"] == "list" and "options" in place.spec else valid(place.spec)
    assert errors(place.role, place.arguments(value)) == ""


@pytest.mark.parametrize("place", [place for place in EVERY_PLACE if place.spec.get("type") in WRONG], ids=str)
def test_refuses_a_wrong_type(place: Offer) -> None:
    said = errors(place.role, place.arguments(WRONG[place.spec["type"]]))
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", [place for place in EVERY_PLACE if "choices" in place.spec], ids=str)
def test_refuses_what_is_no_choice(place: Offer) -> None:
    said = errors(place.role, place.arguments("neither-of-them"))
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", [place for place in EVERY_PLACE if place.spec.get("required")], ids=str)
def test_refuses_a_missing_one(place: Offer) -> None:
    said = errors(place.role, place.without())
    assert place.name in said
    assert A_SECRET not in said


@pytest.mark.parametrize("place", [place for place in EVERY_PLACE if "options" in place.spec], ids=str)
def test_refuses_an_unknown_key(place: Offer) -> None:
    inner = {**minimal(place.spec), "surprise": A_SECRET}
    said = errors(place.role, place.arguments([inner] if place.spec["type"] == "list" else inner))
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
    assert defaults == {name: spec["default"] for name, spec in options_of(role).items() if "default" in spec}


@pytest.mark.parametrize("role", SPECS)
def test_names_are_the_roles_own(role: str) -> None:
    assert [name for name in options_of(role) if not re.match(rf"{role}(_|$)", name)] == []


def test_a_run_ends_before_the_first_task(tmp_path: Path) -> None:
    """What the tests above ask the validator, once through the whole of Ansible."""
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": ["postgresql"],
        "vars": {
            "postgresql_port": "many",
            "postgresql_databases": [{"name": "x", "owner": "x", "password": A_SECRET, "colour": "blue"}],
        },
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nroles_path = {ROLES}\n")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-vvv", "play.yml"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert "postgresql_port" in said
    assert "colour" in said
    assert "Reject names that PostgreSQL would need quoted" not in said
    assert A_SECRET not in said
