"""What the pages point at is there: files, headings, targets of make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md"), *ROOT.glob("roles/*/README.md")]
FOLDERS = ("docs", "inventories", "molecule", "playbooks", "plugins", "requirements", "roles", "src", "tests")
MADE_UP = re.compile(r"inventories/ours|parrot/|parrot\.yml|\.state|[*<…]")
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = {target for line in re.findall(r"^([\w./ -]+):(?!=)", MAKEFILE, re.MULTILINE) for target in line.split()}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    named = {word for word in re.findall(r"`([\w./-]+)`", text) if word.startswith(tuple(f"{x}/" for x in FOLDERS))}
    assert [word for word in named if not MADE_UP.search(word) and not (ROOT / word).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    spans = re.findall(r"`make ([^`]+)`", text) + re.findall(r"^make (.+)$", text, re.MULTILINE)
    words = {word for span in spans for word in span.partition("#")[0].split() if re.fullmatch(r"[a-z./-]+", word)}
    assert words - TARGETS == set()


def test_a_commit_is_linted_by_make_lint_and_nothing_else() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make lint"]


def test_a_hosted_ci_runs_what_anybody_can_run() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    (job,) = jobs.values()
    assert job["steps"][-1]["run"].endswith(".ci/run")


def test_ci_runs_every_drill_in_turn() -> None:
    shares = re.findall(r"^SHARE_(\d) := (.+)$", MAKEFILE, re.MULTILINE)
    assert [number for number, _ in shares] == [str(number) for number in range(len(shares))]
    drills = sorted(file.stem.removeprefix("test_") for file in ROOT.glob("tests/e2e/drills/test_*.py"))
    assert sorted(name for _, names in shares for name in names.split()) == drills
    assert f" % {len(shares)}))" in (ROOT / ".ci/run").read_text()
