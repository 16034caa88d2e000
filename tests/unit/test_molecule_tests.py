"""What tests on machines must not do."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = sorted((*ROOT.glob("molecule/*/tests/*.py"), *ROOT.glob("tests/e2e/**/*.py")))


def test_no_exit_status_is_lost() -> None:
    # Testinfra's run_test passes for exit status 1, too; check_output wants 0.
    assert len(TESTS) > 20
    assert [path.name for path in TESTS if ".run_test(" in path.read_text()] == []
