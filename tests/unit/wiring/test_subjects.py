"""The wiring keeps its subjects apart: a file sets what its own roles take, from inputs, secrets and shared facts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from jinja2 import Environment, nodes

from parrotpark.control import preflight
from parrotpark.control.secrets.catalogue import fill_gaps

ROOT = Path(__file__).parents[3]
WIRING = ROOT / "playbooks/group_vars"
FILES: dict[str, dict[str, Any]] = {
    file.relative_to(WIRING).as_posix(): yaml.safe_load(file.read_text()) for file in sorted(WIRING.rglob("*.yml"))
}
FACTS = FILES["all/facts.yml"]
SUBJECTS = {
    Path(name).stem: values for name, values in FILES.items() if name.startswith("all/") and values is not FACTS
}
PLAYBOOKS = {file.name: file.read_text() for file in sorted((ROOT / "playbooks").glob("*.yml"))}
PLAYS = [play for text in PLAYBOOKS.values() for play in yaml.safe_load(text)]
SPECS = {
    file.parent.parent.name: yaml.safe_load(file.read_text()) for file in ROOT.glob("roles/*/meta/argument_specs.yml")
}
ROLE_OF = {option: role for role, spec in SPECS.items() for option in preflight.options_of(spec)}

INPUTS = yaml.safe_load((ROOT / "inventories/inputs.yml").read_text())
KNOWN = {
    *preflight.options_of(INPUTS),
    *fill_gaps({}, []).values,
    *FACTS,
    *(name for play in PLAYS for name in play.get("vars", {})),  # what a playbook says of its run
    *("lookup", "omit", "playbook_dir", "inventory_dir", "ansible_run_tags", "ansible_skip_tags"),
}
OF_OTHER_HOSTS = {"groups", "hostvars"}  # what stands there may be anything, so the shared facts alone look

# Names, values and filters. What chooses or reckons is Python, where it has tests.
PLAIN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem),
    *(nodes.Filter, nodes.Call, nodes.Keyword, nodes.List, nodes.Dict, nodes.Pair),
)
CHOOSING = {"reject", "rejectattr", "select", "selectattr", "ternary"}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        yield from value if isinstance(value, dict) else ()
        for each in value.values() if isinstance(value, dict) else value:
            yield from keys(each)


def parts(value: Any) -> Iterator[nodes.Node]:
    """Everything that the templates in a value are made of."""
    for text in texts(value):
        yield from Environment(autoescape=True).parse(text).find_all(nodes.Node)


def reads(value: Any) -> set[str]:
    return {node.name for node in parts(value) if isinstance(node, nodes.Name)}


def rests_on(value: Any) -> set[str]:
    """The inputs and plain facts from which a value follows in the end."""
    return {
        leaf
        for name in reads(value)
        for leaf in (rests_on(FACTS[name]) if name in FACTS and reads(FACTS[name]) else {name})
    }


def roles_used() -> set[str]:
    """The roles that playbooks name."""
    named = [role["role"] for play in PLAYS for role in play.get("roles", [])]
    tasks = [task for play in PLAYS for when in ("pre_tasks", "tasks", "post_tasks") for task in play.get(when, [])]
    return {
        *named,
        *(task["ansible.builtin.import_role"]["name"] for task in tasks if "ansible.builtin.import_role" in task),
    }


@pytest.mark.parametrize("file", [name for name in FILES if name != "all/facts.yml"])
def test_a_file_sets_nothing_but_variables_of_roles(file: str) -> None:
    assert [name for name in FILES[file] if name not in ROLE_OF] == []


def test_a_role_belongs_to_one_subject() -> None:
    places: defaultdict[str, set[str]] = defaultdict(set)
    for subject, values in SUBJECTS.items():
        for name in values:
            places[ROLE_OF.get(name, name)].add(subject)
    assert {role: subjects for role, subjects in places.items() if len(subjects) > 1} == {}


def test_a_fact_is_no_ones_variable() -> None:
    assert [name for name in FACTS if name in ROLE_OF or name.startswith(("parrotpark_", "vault_"))] == []


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_is_read(fact: str) -> None:
    wired = any(fact in reads(values) for values in FILES.values())
    assert wired or any(re.search(rf"\b{fact}\b", text) for text in PLAYBOOKS.values())


@pytest.mark.parametrize("file", FILES)
def test_a_file_reads_inputs_secrets_shared_facts_and_its_own(file: str) -> None:
    may = KNOWN | FILES[file].keys() | (OF_OTHER_HOSTS if FILES[file] is FACTS else set())
    assert sorted(reads(FILES[file]) - may) == []


@pytest.mark.parametrize("file", FILES)
def test_templates_only_filter(file: str) -> None:
    odd = [
        f"{name}: {node}"
        for name, value in FILES[file].items()
        for node in parts(value)
        if not isinstance(node, PLAIN)
        or (isinstance(node, nodes.Filter) and node.name in CHOOSING)
        or (isinstance(node, nodes.Call) and node.node != nodes.Name("lookup", "load"))
    ]
    assert odd == []


def test_inputs_have_the_same_subjects() -> None:
    assert INPUTS["argument_specs"].keys() <= {"facts", *SUBJECTS}


def test_an_input_is_its_owners_or_has_a_default() -> None:
    inputs = preflight.options_of(INPUTS)
    assert [name for name, option in inputs.items() if option.get("required") and "default" in option] == []
    assert ArgumentSpecValidator(inputs).validate(preflight.defaults_of(inputs)).error_messages == [
        f"missing required arguments: {', '.join(sorted(name for name in inputs if inputs[name].get('required')))}"
    ]


@pytest.mark.parametrize("file", sorted(ROOT.glob("inventories/*/group_vars/all.yml")), ids=lambda file: file.parts[-3])
def test_an_inventory_does_not_say_what_everybody_says(file: Path) -> None:
    defaults = preflight.defaults_of(preflight.options_of(INPUTS))
    assert [name for name, value in yaml.safe_load(file.read_text()).items() if defaults.get(name) == value] == []


def test_every_role_is_there_and_used() -> None:
    assert roles_used() == SPECS.keys()


@pytest.mark.parametrize("role", SPECS)
def test_a_role_gets_what_it_requires(role: str) -> None:
    given = {*(name for values in FILES.values() for name in values), *keys(PLAYS)}
    options = preflight.options_of(SPECS[role])
    assert [name for name, option in options.items() if option.get("required") and name not in given] == []


def test_what_shapes_a_gpu_host_is_in_its_fingerprint() -> None:
    fingerprint = SUBJECTS["fleet"]["golden_image_fingerprint"]
    baked = set(re.findall(r"'roles/(\w+)'", fingerprint))
    assert baked == {role["role"] for play in PLAYS if play["name"] == "Bake GPU hosts" for role in play["roles"]}
    shaping = {
        name: value
        for values in [*SUBJECTS.values(), FILES["gpu.yml"]]
        for name, value in values.items()
        if ROLE_OF.get(name) in baked
    }
    assert len(shaping) > 5
    assert sorted(rests_on(shaping) - rests_on(fingerprint)) == []
