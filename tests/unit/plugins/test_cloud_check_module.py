"""parrotpark_cloud_check passes what the cloud has and refuses the rest in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]

HERE = {"cloud": "gpu", "location": "fsn1", "server_type": "cx33"}
THERE = {"cloud": "other", "location": "fsn1", "server_type": "ccx33"}


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud, other: Cloud) -> Run:
    """Runs the module with good arguments, changed as the test likes; `cloud` changes the first of the two clouds."""
    module = load_module("parrotpark_cloud_check")

    def run(*, cloud: Cloud | None = None, **changes: Any) -> dict[str, Any]:
        arguments = {"clouds": [{**gpu, **(cloud or {})}, other], "offers": [HERE, THERE], **changes}
        return run_module(module, **arguments)

    return run


@pytest.mark.parametrize("check", [False, True])
def test_what_the_cloud_has_passes(run: Run, check: bool) -> None:
    result = run(_ansible_check_mode=check)
    assert not result.get("failed")
    assert result["changed"] is False


def test_one_image_stands_in_for_those_of_the_clouds(run: Run) -> None:
    assert not run(cloud={"image": "debian-7"}, image="debian-13").get("failed")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offers": [HERE, THERE | {"server_type": "cx99"}]}, "server type 'cx99' is unknown to the cloud; it"),
        ({"offers": [HERE | {"location": "x1"}, THERE]}, "location of server type cx33 'x1' is unknown to"),
        ({"offers": [HERE | {"cloud": "moon"}]}, "cloud 'moon' is unknown; known: gpu, other"),
        ({"cloud": {"image": "debian-7"}}, "image 'debian-7' is unknown to the cloud; it knows: debian-13"),
        ({"image": "debian-7"}, "image 'debian-7' is unknown to the cloud; it knows: debian-13"),
        ({"cloud": {"credential_file": "/no"}}, "the credential file /no of cloud gpu does not exist"),
        (
            {"cloud": {"endpoint": "http://127.0.0.1:9/v1"}},
            "nothing answers at http://127.0.0.1:9/v1: start the local",
        ),
    ],
)
def test_what_it_lacks_is_one_line(run: Run, changes: dict[str, Any], message: str) -> None:
    result = run(**changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_a_wrong_token_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("x" * 64)
    result = run(cloud={"credential_file": str(tmp_path / "wrong")})
    assert result["msg"].startswith("hetzner: unable to authenticate (unauthorized): check the token in ")
