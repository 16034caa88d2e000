"""parrotpark_golden_image against the local cloud's API: tell, make, finish, check, interrupted, refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hcloud import Client

from tests.cloud_in_memory import Served

type Run = Callable[..., dict[str, Any]]

NEW = "b" * 32
OLD = "a" * 32
PARTS = {"vllm": "1" * 12, "models": "2" * 12}


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], local_cloud: Served, token_file: str) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away."""
    module = load_module("parrotpark_golden_image")

    def run(*, check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "endpoint": local_cloud.endpoint,
            "token_file": token_file,
            "fingerprint": NEW,
            "parts": PARTS,
            **changes,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        return run_module(module, **{name: value for name, value in arguments.items() if value is not None})

    return run


@pytest.fixture
def client(local_cloud: Served, token: str) -> Client:
    return Client(token, api_endpoint=local_cloud.endpoint)


@pytest.fixture
def bake(run_module: Run, load_module: Callable[[str], ModuleType], local_cloud: Served, token_file: str) -> Run:
    """Makes the server that is to become an image."""
    module = load_module("parrotpark_bake_server")

    def bake(fingerprint: str = NEW) -> dict[str, Any]:
        return run_module(
            module,
            name="gpu-bake",
            endpoint=local_cloud.endpoint,
            token_file=token_file,
            offers=[{"location": "fsn1", "server_type": "ccx33"}],
            image="debian-13",
            fingerprint=fingerprint,
        )

    return bake


def images(client: Client) -> list[Mapping[str, str] | None]:
    return [image.labels for image in client.images.get_all(type=["snapshot"])]


def labels(fingerprint: str, parts: Mapping[str, str] = PARTS) -> dict[str, str]:
    return {
        "parrotpark-role": "gpu-image",
        "parrotpark-fingerprint": fingerprint,
        **{f"parrotpark-part-{name}": digest for name, digest in parts.items()},
    }


# ---- tell -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_it_tells_of_an_image_that_is_not_there(run: Run, local_cloud: Served, check: bool) -> None:
    result = run(check=check)
    assert (result["changed"], result["current"], result["image"]) == (False, False, None)
    assert result["summary"] == "stale: there is none yet"
    assert result["newest"] is None
    assert local_cloud.backend.machines == {}
    assert local_cloud.backend.snapshots == set()


def test_it_tells_what_has_changed(run: Run, bake: Run) -> None:
    bake(OLD)
    gone = {"vllm": "0" * 12, "models": "2" * 12, "gone": "3" * 12}
    run(fingerprint=OLD, parts=gone, from_server="gpu-bake", make=True)
    result = run()
    assert (result["current"], result["image"]) == (False, None)
    assert result["summary"] == "stale: because gone, vllm changed"
    assert result["newest"] not in (None, NEW)


def test_it_tells_of_the_current_image(run: Run, bake: Run) -> None:
    bake()
    made = run(from_server="gpu-bake", make=True)
    result = run()
    assert (result["changed"], result["current"], result["image"]) == (False, True, made["image"])
    assert result["summary"] == "image current"


# ---- make -------------------------------------------------------------------------------------------------------


def test_make(run: Run, bake: Run, client: Client, local_cloud: Served) -> None:
    bake()
    result = run(from_server="gpu-bake", make=True)
    assert (result["changed"], result["current"], result["summary"]) == (True, True, "stale: there is none yet")
    (image,) = client.images.get_all(type=["snapshot"])
    assert (str(image.id), image.labels, image.status) == (result["image"], labels(NEW), "available")
    assert local_cloud.backend.machines == {}
    assert local_cloud.backend.calls.index("stop") < local_cloud.backend.calls.index("snapshot")
    assert result["diff"] == {
        "before": {"images": [], "servers": ["gpu-bake"]},
        "after": {"images": [NEW], "servers": []},
    }


def test_make_idempotent(run: Run, bake: Run, client: Client) -> None:
    bake()
    made = run(from_server="gpu-bake", make=True)
    again = run(from_server="gpu-bake", make=True)
    assert (again["changed"], again["image"], again["summary"]) == (False, made["image"], "image current")
    assert again["diff"]["before"] == again["diff"]["after"]
    assert images(client) == [labels(NEW)]


def test_make_check(run: Run, bake: Run, client: Client) -> None:
    bake()
    result = run(from_server="gpu-bake", make=True, check=True)
    assert (result["changed"], result["current"], result["image"]) == (True, True, None)
    assert images(client) == []
    assert client.servers.get_by_name("gpu-bake") is not None


def test_make_check_needs_no_server(run: Run) -> None:
    assert run(from_server="gpu-bake", make=True, check=True)["changed"] is True


def test_make_check_idempotent(run: Run, bake: Run) -> None:
    bake()
    run(from_server="gpu-bake", make=True)
    assert run(from_server="gpu-bake", make=True, check=True)["changed"] is False


def test_older_images_stay_until_they_are_pruned_and_others_are_left_alone(run: Run, bake: Run, client: Client) -> None:
    server = client.servers.get_by_name(bake(OLD)["server"]["name"])
    assert server is not None
    server.create_image("mine", labels={"mine": "yes"}).action.wait_until_finished()
    run(fingerprint=OLD, from_server="gpu-bake", make=True)
    bake()
    result = run(from_server="gpu-bake", make=True)
    assert result["diff"]["before"]["images"] == [OLD]
    assert result["diff"]["after"]["images"] == [OLD, NEW]
    assert images(client) == [{"mine": "yes"}, labels(OLD), labels(NEW)]
    result = run(from_server="gpu-bake", prune=True)
    assert result["diff"] == {
        "before": {"images": [OLD, NEW], "servers": []},
        "after": {"images": [NEW], "servers": []},
    }
    assert images(client) == [{"mine": "yes"}, labels(NEW)]


def test_an_interrupted_run_is_finished(run: Run, bake: Run, client: Client) -> None:
    bake()
    server = client.servers.get_by_name("gpu-bake")
    assert server is not None
    server.create_image("begun", labels=labels(NEW))
    result = run(from_server="gpu-bake", make=True)
    assert (result["changed"], result["current"]) == (True, True)
    assert images(client) == [labels(NEW)]
    assert client.servers.get_all() == []


# ---- prune ------------------------------------------------------------------------------------------------------


@pytest.fixture
def killed(run: Run, bake: Run, client: Client) -> None:
    """Has a run end after it has made the image, before it deletes anything."""
    bake(OLD)
    run(fingerprint=OLD, from_server="gpu-bake", make=True)
    server = client.servers.get_by_name(bake()["server"]["name"])
    assert server is not None
    server.create_image("made", labels=labels(NEW)).action.wait_until_finished()


@pytest.mark.usefixtures("killed")
def test_what_a_killed_run_left_goes(run: Run, client: Client) -> None:
    result = run(from_server="gpu-bake", prune=True)
    assert (result["changed"], result["current"], result["summary"]) == (True, True, "image current")
    assert result["diff"]["before"] == {"images": [OLD, NEW], "servers": ["gpu-bake"]}
    assert images(client) == [labels(NEW)]
    assert client.servers.get_all() == []
    assert run(from_server="gpu-bake", prune=True)["changed"] is False


@pytest.mark.usefixtures("killed")
def test_who_only_looks_deletes_nothing(run: Run, client: Client) -> None:
    assert run(from_server="gpu-bake")["changed"] is False
    assert images(client) == [labels(OLD), labels(NEW)]
    assert len(client.servers.get_all()) == 1


@pytest.mark.usefixtures("killed")
def test_what_a_killed_run_left_stays_in_check_mode(run: Run, client: Client) -> None:
    result = run(from_server="gpu-bake", prune=True, check=True)
    assert (result["changed"], result["image"]) == (True, run()["image"])
    assert images(client) == [labels(OLD), labels(NEW)]
    assert len(client.servers.get_all()) == 1


def test_before_there_is_the_image_nothing_is_pruned(run: Run, bake: Run, client: Client) -> None:
    bake(OLD)
    run(fingerprint=OLD, from_server="gpu-bake", make=True)
    bake()
    result = run(from_server="gpu-bake", prune=True)
    assert (result["changed"], result["current"]) == (False, False)
    assert images(client) == [labels(OLD)]
    assert len(client.servers.get_all()) == 1


def test_what_another_bakes_from_another_fingerprint_is_left_alone(run: Run, bake: Run, client: Client) -> None:
    bake()
    run(from_server="gpu-bake", make=True)
    bake(OLD)
    assert run(from_server="gpu-bake", prune=True)["changed"] is False
    assert len(client.servers.get_all()) == 1


# ---- what is refused --------------------------------------------------------------------------------------------


def test_only_a_host_that_was_baked_from_the_fingerprint_becomes_an_image(run: Run, bake: Run, client: Client) -> None:
    bake(OLD)
    result = run(from_server="gpu-bake", make=True)
    assert result["failed"]
    assert result["msg"] == f"there is no server that was baked from fingerprint {NEW}: bake again"
    assert images(client) == []
    assert client.servers.get_by_name("gpu-bake") is not None


def test_the_server_of_a_second_run_becomes_no_image(run: Run, bake: Run, client: Client) -> None:
    first, second = bake()["server"]["id"], bake()["server"]["id"]
    result = run(from_server="gpu-bake", server_id=first, make=True)
    assert result["failed"]
    assert result["msg"] == f"there is no server that was baked from fingerprint {NEW}: bake again"
    assert images(client) == []
    assert run(from_server="gpu-bake", server_id=second, make=True)["current"] is True


def test_a_failed_image_leaves_the_server_and_the_older_image(
    run: Run, bake: Run, client: Client, local_cloud: Served
) -> None:
    bake(OLD)
    run(fingerprint=OLD, from_server="gpu-bake", make=True)
    bake()
    local_cloud.backend.fails = {"snapshot"}
    result = run(from_server="gpu-bake", make=True)
    assert result["failed"]
    assert "snapshot does not work today" in result["msg"]
    assert images(client) == [labels(OLD)]
    assert client.servers.get_by_name("gpu-bake") is not None
    local_cloud.backend.fails = set()
    assert run(from_server="gpu-bake", make=True)["current"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_server": "gpu-bake", "make": True}, "there is no server that was baked from fingerprint"),
        ({"prune": True}, "prune is True but all of the following are missing: from_server"),
        ({"make": True, "prune": True, "from_server": "gpu-bake"}, "parameters are mutually exclusive: make|prune"),
        ({"make": True}, "make is True but all of the following are missing: from_server"),
        ({"token_file": "/nowhere/token"}, "the token file /nowhere/token does not exist"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1"),
        ({"fingerprint": None}, "missing required arguments: fingerprint"),
    ],
)
def test_bad_input_is_refused_in_one_line(run: Run, changes: dict[str, Any], message: str) -> None:
    result = run(**changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_a_wrong_token_is_one_line(run: Run, token_file: str) -> None:
    Path(token_file).write_text("x" * 64)
    message = f"hetzner: unable to authenticate (unauthorized): check the token in {token_file}, and that it may write"
    assert run()["msg"] == message
