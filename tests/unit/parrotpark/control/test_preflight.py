"""Names in the wrong place and names that do not exist are refused with their fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from parrotpark.control.preflight import (
    Options,
    Setting,
    constraints_of,
    defaults_of,
    description,
    misplaced,
    missing,
    missing_files,
    mistyped_texts,
    options_of,
    placeholders,
    unknown,
    unmatched,
    variable_files,
)

SCHEMA: Options = {
    "parrotpark_domain": {"type": "str", "required": True, "description": "The one public name."},
    "parrotpark_gpu_slots": {"type": "int", "required": True, "description": ["How many.", "When awake."]},
    "parrotpark_acme_email": {"description": "Address."},
}


def test_a_role_variable_in_the_inventory_is_refused() -> None:
    settings = [Setting("litellm_port", "group_vars/all.yml"), Setting("ansible_user", "group_vars/all.yml")]
    assert misplaced(settings, {"litellm_port": "litellm", "caddy_domain": "caddy"}) == [
        "litellm_port in group_vars/all.yml is a variable of the role litellm, and "
        "the wiring in playbooks/group_vars would silently win over it: set a parrotpark_… input instead, "
        "or wire it there"
    ]


def test_an_unknown_input_is_refused_with_the_nearest_name() -> None:
    settings = [
        Setting("parrotpark_domian", "a.yml"),
        Setting("parrotpark_xyz", "b.yml"),
        Setting("parrotpark_domain", "a.yml"),
        Setting("domain", "a.yml"),
    ]
    assert unknown(settings, SCHEMA) == [
        "parrotpark_domian in a.yml is not an input: did you mean parrotpark_domain?",
        "parrotpark_xyz in b.yml is not an input: docs/inputs.md lists all inputs",
    ]


def test_a_missing_input_is_named_with_what_it_is() -> None:
    assert missing({"parrotpark_domain": "localhost", "parrotpark_gpu_slots": None}, SCHEMA, "all.yml") == [
        "parrotpark_gpu_slots is missing from all.yml: How many. When awake."
    ]


def test_a_default_is_what_nobody_gave_unless_somebody_made_it_nothing() -> None:
    schema: Options = {"parrotpark_gpu_slots": {"default": 2, "description": "How many."}, "parrotpark_tools": {}}
    assert defaults_of(schema) == {"parrotpark_gpu_slots": 2}
    assert missing(defaults_of(schema), schema, "all.yml") == []
    assert missing({"parrotpark_gpu_slots": None}, schema, "all.yml") == [
        "parrotpark_gpu_slots is missing from all.yml: How many."
    ]


@pytest.mark.parametrize(
    ("value", "kind"), [(["a"], "a list"), ({"a": "b"}, "a mapping"), (True, "true or false"), ([], "a list")]
)
def test_a_text_is_not_made_of_something_else(value: object, kind: str) -> None:
    assert mistyped_texts({"parrotpark_acme_email": value}, SCHEMA) == [
        f"parrotpark_acme_email must be text, not {kind}: Address."
    ]


@pytest.mark.parametrize("value", ["a", "", 8443, 1.5, None])
def test_texts_and_numbers_are_fine_as_texts(value: object) -> None:
    assert mistyped_texts({"parrotpark_acme_email": value, "parrotpark_gpu_slots": [1]}, SCHEMA) == []


@pytest.mark.parametrize(
    "value",
    ["ai.example.org", "example.com", "it@example.org", "https://chat.example.net/x", ["a", {"b": "example.org"}]],
)
def test_an_example_is_refused(value: object) -> None:
    (line,) = placeholders({"parrotpark_domain": value})
    assert line.startswith("parrotpark_domain is still the example ")


@pytest.mark.parametrize(
    "value", ["ai.example-school.org", "admin@parrotpark.example", "Write to jane@example.org!", 1]
)
def test_what_only_resembles_an_example_is_none(value: object) -> None:
    assert placeholders({"parrotpark_chat_questions": [value]}) == []


def test_a_text_has_the_form_it_needs() -> None:
    schema = {"parrotpark_image": {"pattern": "[^@]+@sha256:[0-9a-f]{64}", "description": "By digest."}}
    assert unmatched({"parrotpark_image": f"a/b@sha256:{'0' * 64}"}, schema) == []
    assert unmatched({}, schema) == []
    for image in ("a/b:latest", "a/b@sha256:put-the-digest-here", f"a/b@sha256:{'0' * 64} "):
        assert unmatched({"parrotpark_image": image}, schema) == [f"parrotpark_image is {image!r}: By digest."]


def test_a_text_within_a_list_has_the_form_it_needs() -> None:
    schema = {"parrotpark_clouds": {"options": {"name": {"pattern": "[a-z]+", "description": "Its name."}}}}
    clouds = [{"name": "gpu"}, {"name": "../gpu"}, {}, "gpu"]
    assert unmatched({"parrotpark_clouds": clouds}, schema) == ["parrotpark_clouds: name is '../gpu': Its name."]
    assert unmatched({"parrotpark_clouds": clouds[0]}, schema) == []


def test_files_that_must_be_there_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "there").touch()
    inner = {"source": {"type": "str", "must_exist": True, "description": "A model."}}
    schema: Options = {
        "one": {"type": "path", "must_exist": True, "description": "A file."},
        "many": {"type": "list", "elements": "path", "must_exist": True, "description": "Files."},
        "made": {"type": "path"},
        "models": {"type": "list", "elements": "dict", "options": inner},
    }
    good = {
        "one": "~/there",
        "many": [str(tmp_path / "there")],
        "made": "/nowhere",
        "models": [{"source": "org/name"}, {"source": str(tmp_path / "there")}, {}],
    }
    assert missing_files(good, schema) == []
    assert missing_files({}, schema) == []
    bad = {"one": "~/none", "many": ["~/there", "/nowhere"], "models": [{"source": "/nowhere"}]}
    assert missing_files(bad, schema) == [
        "one names ~/none, which does not exist: A file.",
        "many names /nowhere, which does not exist: Files.",
        "models: source names /nowhere, which does not exist: A model.",
    ]


def test_what_is_said_of_options_together_is_found() -> None:
    together = {"required_if": [["tls", "acme", ["email"]]], "options": {}, "short_description": "x"}
    entry_points = {"door": together, "chat": {"required_if": [["a", "b", ["c"]]]}, "data": {}}
    assert constraints_of({"argument_specs": entry_points}) == {
        "required_if": [["tls", "acme", ["email"]], ["a", "b", ["c"]]]
    }
    assert constraints_of(None) == {}


def test_a_description_is_one_line() -> None:
    assert description({"description": [" a ", "b"]}) == "a b"
    assert description({}) == ""


def test_options_of_all_entry_points_are_found() -> None:
    specification = {
        "argument_specs": {"main": {"options": {"a": {}}}, "enter": {"options": {"b": {}}}, "bare": {"options": None}}
    }
    assert options_of(specification).keys() == {"a", "b"}
    assert options_of(None) == {}


def test_the_files_are_those_that_ansible_reads(tmp_path: Path) -> None:
    read = ["group_vars/all.yml", "group_vars/all/one.yaml", "group_vars/entry", "host_vars/gpu-1/x.json"]
    unread = ["group_vars/.hidden.yml", "group_vars/all.yml~", "group_vars/notes.txt", ".state/a.yml", "parrotpark.yml"]
    for name in [*read, *unread]:
        path = tmp_path / name.replace("group_vars/all/", "group_vars/every/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = {str(path.relative_to(tmp_path)) for path in variable_files(tmp_path)}
    assert found == {name.replace("group_vars/all/", "group_vars/every/") for name in read}
    assert list(variable_files(tmp_path / "parrotpark.yml")) == list(variable_files(tmp_path))
