"""parrotpark_outlook says what is ahead, and fails where something is known to be missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.openstack_in_memory import Served, serving

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]

ENTRY = {"cloud": "gpu", "location": "fsn1", "server_type": "cx33"}
L4 = {"cloud": "here", "location": "nova", "server_type": "l4-90"}
BOX = {"cloud": "home", "location": "attic", "server_type": "static"}


@pytest.fixture
def openstack(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud, openstack: Served) -> Run:
    """Runs the module with good arguments, changed as the test likes."""
    module = load_module("parrotpark_outlook")
    here = {key: value for key, value in asdict(openstack.account).items() if value and isinstance(value, str)}

    def run(**changes: Any) -> dict[str, Any]:
        arguments = {"clouds": [gpu, here], "entry": ENTRY, "offers": [L4, BOX], "hosts": 2, "hours": 10, "names": []}
        return run_module(module, **arguments, **changes)

    return run


def test_what_is_told_and_what_is_not(run: Run, openstack: Served) -> None:
    result = run()
    assert not result.get("failed")
    assert result["changed"] is False
    assert "gpu: only the first creation shows its quota, and whether its token may write" in result["lines"]
    assert "here: its quota is enough for 2 of l4-90, and for a bake" in result["lines"]
    assert openstack.billed() == set()


def test_a_quota_that_is_too_small_is_a_failure_with_its_fix(run: Run, openstack: Served) -> None:
    openstack.state.most_cores = 43
    result = run()
    assert result["failed"]
    assert result["msg"] == (
        "here: its quota allows 43 of the 44 cores for 2 of l4-90: ask the provider for more, or take the offer out"
    )
    assert any("entry server: about EUR" in line for line in result["lines"])


def test_a_credential_that_may_only_look_is_a_failure(run: Run, openstack: Served) -> None:
    openstack.state.role = "reader"
    assert "which makes nothing: make one with member" in run()["msg"]
