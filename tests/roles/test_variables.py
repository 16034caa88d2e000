"""Variables of a role's own, whose names begin with two underscores."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROLES = sorted(path.parent for path in Path(__file__).parents[2].glob("roles/*/tasks"))
NAME = re.compile(r"\b__[a-z]\w*[a-z0-9]\b")
COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
# As a key of `vars` or `set_fact`, as what a task registers or loops with, by a template.
MADE = re.compile(r"^\s*(?:- )?(__\w+):|\b(?:register|loop_var): (__\w+)|\{% set (__\w+)", re.MULTILINE)


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_what_is_used_is_made_and_what_is_made_is_used(role: Path) -> None:
    """Most of them are used where something has failed, which no other test brings about."""
    files = (
        path for part in ("defaults", "vars", "tasks", "handlers", "templates") for path in role.glob(f"{part}/**/*")
    )
    text = "\n".join(COMMENT.sub("", path.read_text()) for path in files if path.is_file())
    made = Counter(next(filter(None, found)) for found in MADE.findall(text))
    used = Counter(NAME.findall(text)) - made
    assert used.keys() == made.keys()
