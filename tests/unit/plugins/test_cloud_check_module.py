"""parrotpark_cloud_check passes what the cloud has and refuses the rest in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cloud_in_memory import Served

type Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(
    run_module: Run, load_module: Callable[[str], ModuleType], local_cloud: Served, token: str, tmp_path: Path
) -> Run:
    (tmp_path / "token").write_text(token)
    module = load_module("parrotpark_cloud_check")

    def run(**changes: Any) -> dict[str, Any]:
        arguments = {
            "endpoint": local_cloud.endpoint,
            "token_file": str(tmp_path / "token"),
            "offers": [{"location": "fsn1", "server_type": "cx33"}, {"location": "fsn1", "server_type": "ccx33"}],
            "image": "debian-13",
            **changes,
        }
        return run_module(module, **{name: value for name, value in arguments.items() if value is not None})

    return run


@pytest.mark.parametrize("check", [False, True])
def test_what_the_cloud_has_passes(run: Run, check: bool) -> None:
    result = run(_ansible_check_mode=check)
    assert not result.get("failed")
    assert result["changed"] is False


def test_the_environment_stands_in(run: Run, local_cloud: Served, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_ENDPOINT", local_cloud.endpoint)
    monkeypatch.setenv("HCLOUD_TOKEN", token)
    assert not run(endpoint=None, token_file=None).get("failed")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offers": [{"location": "fsn1", "server_type": "cx99"}]}, "server type 'cx99' is unknown to the cloud; it"),
        ({"offers": [{"location": "x1", "server_type": "cx33"}]}, "location of server type cx33 'x1' is unknown to"),
        ({"image": "debian-7"}, "image 'debian-7' is unknown to the cloud; it knows: debian-13"),
        ({"token_file": "/nowhere"}, "the token file /nowhere does not exist"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1: start the local cloud"),
    ],
)
def test_what_it_lacks_is_one_line(run: Run, changes: dict[str, Any], message: str) -> None:
    result = run(**changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_a_wrong_token_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("x" * 64)
    result = run(token_file=str(tmp_path / "wrong"))
    assert result["msg"].startswith("hetzner: unable to authenticate (unauthorized): check the token in ")
