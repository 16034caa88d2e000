"""parrotpark_preflight refuses bad inventories line by line, and lets a good one pass."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.plugins.loader import action_loader
from ansible.template import trust_as_template

type Run = Callable[..., dict[str, Any]]

SCHEMA = r"""
argument_specs:
  main:
    required_if: [[parrotpark_tls, acme, [parrotpark_acme_email]]]
    options:
      parrotpark_checked_version: {type: str, pattern: '\d+\.\d+\.\d+', description: What was checked.}
      parrotpark_acme_email: {type: str, description: Address.}
      parrotpark_ca: {type: path, must_exist: true, description: A file.}
      parrotpark_image: {type: str, pattern: ".+@sha256:[0-9a-f]{64}", description: By digest.}
      parrotpark_domain: {type: str, required: true, description: The one public name.}
      parrotpark_gpu_slots: {type: int, required: true, description: How many.}
      parrotpark_tls: {type: str, choices: [internal, acme], description: Who signs.}
      parrotpark_token: {type: int, no_log: true, description: A secret number.}
      parrotpark_gpu_offers:
        type: list
        elements: dict
        description: Where.
        options:
          location: {type: str, required: true, description: Location.}
"""
CHANGELOG = """# Changelog

## 0.2.0

- This affects you if you have a parrot: feed it.
"""
ROLE = "argument_specs: {main: {options: {litellm_port: {type: int}}}}"
GOOD = {"parrotpark_checked_version": "0.2.0", "parrotpark_domain": "localhost", "parrotpark_gpu_slots": "1"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a schema, one role and one inventory, and nothing wrong."""
    for name, text in {
        "CHANGELOG.md": CHANGELOG,
        "inventories/inputs.yml": SCHEMA,
        "inventories/renamed.yml": "parrotpark_host_name: parrotpark_domain\n",
        "roles/litellm/meta/argument_specs.yml": ROLE,
        "inventories/local/parrotpark.yml": "plugin: parrotpark\n",
        "inventories/local/group_vars/all.yml": "parrotpark_domain: localhost\nparrotpark_gpu_slots: 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    real = constants.config.get_config_value
    folders = {"DEFAULT_ROLES_PATH": [str(tmp_path / "roles")]}
    monkeypatch.setattr(
        constants.config, "get_config_value", lambda key, **other: folders.get(key) or real(key, **other)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge(run_action: Run, site: Path, **inputs: Any) -> list[str]:
    variables = {"ansible_inventory_sources": [str(site / "inventories/local")], **GOOD, **inputs}
    given = {name: value for name, value in variables.items() if value is not None}
    files = {"schema": "inventories/inputs.yml", "renamed": "inventories/renamed.yml", "changelog": "CHANGELOG.md"}
    arguments = {name: str(site / file) for name, file in files.items()}
    result = run_action("parrotpark_preflight", arguments, variables=given)
    assert result == run_action("parrotpark_preflight", arguments, variables=given, check=True)
    if not result.get("failed"):
        assert result == {"changed": False}
        return []
    return str(result["msg"]).splitlines()


def test_good_inputs_pass(run_action: Run, site: Path) -> None:
    assert judge(run_action, site, parrotpark_gpu_offers=[{"location": "fsn1"}]) == []


def test_an_inventory_file_is_judged_like_its_folder(run_action: Run, site: Path) -> None:
    sources = [str(site / "inventories/local/parrotpark.yml"), "one,two"]
    assert judge(run_action, site, ansible_inventory_sources=sources) == []


def test_role_variables_and_unknown_inputs_are_refused_with_their_file(run_action: Run, site: Path) -> None:
    (site / "inventories/local/host_vars").mkdir()
    (site / "inventories/local/host_vars/entry.yml").write_text("litellm_port: 1\nparrotpark_domian: x\n")
    assert judge(run_action, site) == [
        "litellm_port in inventories/local/host_vars/entry.yml is a variable of the role litellm, and "
        "the wiring in playbooks/group_vars would silently win over it: set a parrotpark_… input instead, "
        "or wire it there",
        "parrotpark_domian in inventories/local/host_vars/entry.yml is not an input: did you mean parrotpark_domain?",
    ]


def test_an_old_name_is_refused_with_the_new_one_and_not_as_unknown(run_action: Run, site: Path) -> None:
    with (site / "inventories/local/group_vars/all.yml").open("a") as file:
        file.write("parrotpark_host_name: x\n")
    (line,) = judge(run_action, site)
    assert line.startswith("parrotpark_host_name in inventories/local/group_vars/all.yml is now parrotpark_domain: ")


@pytest.mark.parametrize("checked", ["0.1.0", None, trust_as_template("{{ '0.1' ~ '.0' }}")])
def test_a_newer_version_stops_until_somebody_says_that_they_have_read_what_changed(
    run_action: Run, site: Path, checked: object
) -> None:
    assert judge(run_action, site, parrotpark_checked_version=checked) == [
        "parrotpark_checked_version is 0.1.0, and this is 0.2.0. CHANGELOG.md says:",
        "0.2.0: This affects you if you have a parrot: feed it.",
        "Do what affects you, set parrotpark_checked_version: 0.2.0, and run again",
    ]


def test_extra_variables_are_inputs_too(run_action: Run, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = action_loader.get("parrotpark_preflight", class_only=True)
    monkeypatch.setattr(sys.modules[plugin.__module__], "load_extra_vars", lambda _: {"parrotpark_gpu_slot": 2})
    assert judge(run_action, site) == [
        "parrotpark_gpu_slot in the extra variables is not an input: did you mean parrotpark_gpu_slots?"
    ]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (
            {"parrotpark_domain": None},
            "parrotpark_domain is missing from inventories/local/group_vars/all.yml: The one public name.",
        ),
        ({"parrotpark_domain": ["a"]}, "parrotpark_domain must be text, not a list: The one public name."),
        (
            {"parrotpark_gpu_slots": "one"},
            "argument 'parrotpark_gpu_slots' is of type str and we were unable to convert",
        ),
        ({"parrotpark_tls": "none"}, "value of parrotpark_tls must be one of: internal, acme, got: none"),
        (
            {"parrotpark_tls": "acme"},
            "parrotpark_tls is acme but all of the following are missing: parrotpark_acme_email",
        ),
        ({"parrotpark_domain": "ai.example.org"}, "parrotpark_domain is still the example 'ai.example.org': give your"),
        ({"parrotpark_ca": "/nowhere/ca.crt"}, "parrotpark_ca names /nowhere/ca.crt, which does not exist: A file."),
        ({"parrotpark_image": "chat@sha256:put-the-digest-here"}, "parrotpark_image is 'chat@sha256:put-the-digest-"),
        ({"parrotpark_gpu_offers": [{"place": "x"}]}, "missing required arguments: location found in parrotpark_gpu"),
    ],
)
def test_a_wrong_value_is_named(run_action: Run, site: Path, inputs: dict[str, Any], problem: str) -> None:
    lines = judge(run_action, site, **inputs)
    assert lines[0].startswith(problem)


def test_a_value_that_cannot_be_worked_out_is_named(run_action: Run, site: Path) -> None:
    (line,) = judge(run_action, site, parrotpark_domain=trust_as_template("{{ nowhere }}"))
    assert line == "parrotpark_domain cannot be evaluated: 'nowhere' is undefined"


def test_a_secret_is_not_shown(run_action: Run, site: Path) -> None:
    (line,) = judge(run_action, site, parrotpark_token="topsecret")
    assert "parrotpark_token" in line
    assert "topsecret" not in line
