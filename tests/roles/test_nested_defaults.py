"""Ansible fills in no default of a nested option: what a role takes for it stands in its spec, too, and is the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
TAKEN = re.compile(r"\.(\w+) \| default\(('[^']*'|\[\]|\{\}|\w+)\)")
WORDS = {"true": True, "false": False, "omit": None}


def nested(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for option in options.values():
        for name, inner in option.get("options", {}).items():
            yield name, inner.get("default")
        yield from nested(option.get("options", {}))


def value(text: str) -> Any:
    return WORDS[text] if text in WORDS else ast.literal_eval(text)


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_a_nested_default_is_that_of_the_spec(role: str) -> None:
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    said = {pair[0]: pair[1] for entry in specs.values() for pair in nested(entry["options"])}
    texts = [path.read_text() for kind in ("tasks", "templates", "vars") for path in (ROLES / role / kind).glob("*")]
    taken = {(name, text) for name, text in TAKEN.findall("\n".join(texts)) if name in said}
    assert [f"{name}: {text}" for name, text in sorted(taken) if value(text) != said[name]] == []
