"""Every template is one that Jinja can read, and says in the file that it makes whose file that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment

ROLES = Path(__file__).parents[2] / "roles"
TEMPLATES = sorted(ROLES.glob("*/templates/*.j2"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parts[-3]}: {path.name}")
def test_a_template_can_be_read(template: Path) -> None:
    Environment(autoescape=True).parse(template.read_text())


# What it makes is sent to Keycloak.
@pytest.mark.parametrize(
    "template",
    [path for path in TEMPLATES if path.name != "realm.yml.j2"],
    ids=lambda path: f"{path.parts[-3]}: {path.name}",
)
def test_a_file_says_that_a_run_overwrites_it(template: Path) -> None:
    assert "{{ ansible_managed | comment" in template.read_text()
