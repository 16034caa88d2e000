"""Delete one line of a role at random, many times, and see whether the role's tests turn red: `make mutants`.

Every mutant lives in a copy of its own. What judges it is what judges roles in CI, the cheapest first: ansible-lint,
the unit tests that read roles or run playbooks, the scenario of the role. What no test notices is listed at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios import role_of

ROOT = Path(__file__).parents[2]
MUTATED = ("roles/*/tasks/*.yml", "roles/*/handlers/*.yml", "roles/*/templates/*")
NOTHING = ("", "---")  # and comments: lines whose loss changes nothing
PYTEST = ("pytest", "-q", "-x", "-p", "no:cacheprovider")
LONGEST = 2400  # seconds of one step
# How a linter, pytest and Ansible begin the line that says what is wrong.
REASON = re.compile(r"^[ │]*((?:FAILED|ERROR|fatal:|\[ERROR\]|E  ).*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A line that is deleted."""

    file: str
    number: int
    text: str

    @property
    def role(self) -> str:
        return self.file.split("/")[1]

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text.strip()}"


def lines() -> Iterator[Mutant]:
    """Yield all lines that say something."""
    for file in sorted(path for pattern in MUTATED for path in ROOT.glob(pattern)):
        for number, text in enumerate(file.read_text().splitlines(), start=1):
            if text.strip() not in NOTHING and not text.lstrip().startswith(("#", "{#")):
                yield Mutant(str(file.relative_to(ROOT)), number, text)


def steps(role: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield what judges a role, the cheapest first."""
    yield "lint", ["ansible-lint", "--offline", "-q", f"roles/{role}"]
    yield "unit", [*PYTEST, "tests/roles", "tests/unit/wiring/test_subjects.py", "-k", role]
    scenarios = sorted(path.name for path in ROOT.glob(f"molecule/{role}*") if role_of(path.name) == role)
    yield from (("molecule", ["molecule", "test", "--scenario-name", scenario]) for scenario in scenarios)
    if not scenarios:
        yield "verbs", [*PYTEST, "tests/unit/verbs"]


def red_step(role: str, mutant: Mutant | None = None) -> tuple[str, str] | None:
    """Return the first step that turns red for the role and what it says, with the mutant or as it is; else None."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(
            ROOT,
            copy,
            symlinks=True,
            ignore=shutil.ignore_patterns(".venv", ".ansible", ".state", "*_cache", "node_modules"),
        )
        (copy / ".venv").symlink_to(ROOT / ".venv")
        if mutant:
            text = (copy / mutant.file).read_text().splitlines(keepends=True)
            del text[mutant.number - 1]
            (copy / mutant.file).write_text("".join(text))
        environment = os.environ | {"PYTHONPATH": str(copy / "src"), "NO_COLOR": "1"}
        for name, command in steps(role):
            run = subprocess.run(
                ["timeout", str(LONGEST), *command],
                cwd=copy,
                env=environment,
                check=False,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if run.returncode:
                return name, (REASON.search(run.stdout) or [run.stdout.strip().partition("\n")[0]])[0][:200]
    return None


def main() -> int:
    """Return 1 where fewer than nine in ten turned a test red."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the same seed takes the same lines")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--green", action="store_true", help="all has just passed as it is; do not try it first")
    options = parser.parse_args()
    if not (ROOT / "inventories/local/.state/endpoints.json").exists():
        parser.error("run make up first: without what it makes, scenarios fail with a mutant and without")
    chosen = random.Random(options.seed).sample(list(lines()), options.samples)
    # One role's mutants one after the other: a scenario's machine has but one name.
    by_role: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in chosen:
        by_role[mutant.role].append(mutant)
    survivors: list[Mutant] = []

    def judge(mutants: Sequence[Mutant]) -> None:
        role = mutants[0].role
        # Red as it is, it would pass for one whose every line is missed.
        if not options.green and (red := red_step(role)):
            raise SystemExit(f"{role} is red without a mutant: {red}")
        for mutant in mutants:
            red = red_step(role, mutant)
            print(f"{mutant}\n  {': '.join(red) if red else 'SURVIVED'}", flush=True)
            if red is None:
                survivors.append(mutant)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(judge, sorted(by_role.values(), key=len, reverse=True)))
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} turned a test red")
    return 1 if len(survivors) * 10 > len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
