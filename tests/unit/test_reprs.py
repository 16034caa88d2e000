"""No dataclass shows a secret where it is printed: in a traceback, a log, or what pytest says of a failure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# An `ssh_key` is the name of one.
SECRET = re.compile(r"(password|secret|token|(?<!public)(?<!^ssh)_key|^key)$")


def fields(file: Path) -> Iterator[tuple[str, ast.AnnAssign]]:
    """Name the fields of a file's dataclasses that are text."""
    for part in ast.walk(ast.parse(file.read_text())):
        if isinstance(part, ast.ClassDef) and any("dataclass" in ast.unparse(line) for line in part.decorator_list):
            for line in part.body:
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.annotation) == "str":
                    yield ast.unparse(line.target), line


def test_no_dataclass_shows_a_secret() -> None:
    files = [file for folder in ("src", "roles", "plugins", "tests") for file in (ROOT / folder).rglob("*.py")]
    secret = {(file, name): line for file in files for name, line in fields(file) if SECRET.search(name)}
    assert len(secret) > 5
    assert [place for place, line in secret.items() if "repr=False" not in ast.unparse(line)] == []
