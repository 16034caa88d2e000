"""Every template is one that Jinja can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment

ROLES = Path(__file__).parents[2] / "roles"
TEMPLATES = sorted(ROLES.glob("*/templates/*.j2"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parts[-3]}: {path.name}")
def test_a_template_can_be_read(template: Path) -> None:
    Environment(autoescape=True).parse(template.read_text())
