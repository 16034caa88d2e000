"""Print the scenarios that a change concerns: `python -m tests.scenarios COMMIT` for what has changed since then."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCENARIOS = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
# What no scenario is without: machines, programs and plugins, the image that all begin with.
SHARED = (
    ".config/molecule/",
    "molecule/shared/",
    "roles/base/",
    "plugins/",
    "requirements/",
    "src/",
    "tests/",
    "Makefile",
)


def concerned(changed: Iterable[str], scenarios: Iterable[str]) -> list[str]:
    """Choose by the paths that have changed: those of the roles among them, or all where it is shared."""
    changed = list(changed)
    if any(path.startswith(SHARED) for path in changed):
        return sorted(scenarios)
    roles = {path.split("/")[1] for path in changed if path.startswith(("roles/", "molecule/"))}
    return sorted(scenario for scenario in scenarios if roles & {scenario, role_of(scenario), *prepared_with(scenario)})


def role_of(scenario: str) -> str:
    """Return the role that a scenario applies; the role's other shape has a scenario of its own."""
    return scenario.removesuffix("-alternative")


def prepared_with(scenario: str) -> list[str]:
    """Name the roles that a scenario's machine gets first, also by the preparation of another scenario."""
    prepare = ROOT / "molecule" / scenario / "prepare.yml"
    text = prepare.read_text() if prepare.exists() else ""
    others = re.findall(r"import_playbook: \.\./([\w-]+)/prepare\.yml$", text, re.MULTILINE)
    roles = re.findall(r"^ *- role: (\w+)$", text, re.MULTILINE)
    return [*roles, *(role for other in others for role in prepared_with(other))]


def main() -> int:
    """Ask git, which also knows what is not committed yet."""
    git = ["git", "-C", str(ROOT)]
    changed = subprocess.run([*git, "diff", "--name-only", sys.argv[1]], check=True, capture_output=True, text=True)
    new = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    print(*concerned((changed.stdout + new.stdout).splitlines(), SCENARIOS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
