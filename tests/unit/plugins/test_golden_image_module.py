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
type Cloud = dict[str, str]

NEW = "b" * 32
OLD = "a" * 32
PARTS = {"vllm": "1" * 12, "models": "2" * 12}


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away, `cloud` changes its."""
    module = load_module("parrotpark_golden_image")

    def run(*, check: bool = False, cloud: Cloud | None = None, **changes: Any) -> dict[str, Any]:
        arguments = {
            "clouds": [{**gpu, **(cloud or {})}],
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
def bake(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud) -> Run:
    """Makes the server that is to become an image."""
    module = load_module("parrotpark_bake_server")

    def bake(fingerprint: str = NEW, cloud: Cloud = gpu) -> dict[str, Any]:
        offer = {"cloud": cloud["name"], "location": "fsn1", "server_type": "ccx33"}
        made = run_module(module, name="gpu-bake", clouds=[cloud], offers=[offer], fingerprint=fingerprint)
        (server,) = made["servers"]
        assert isinstance(server, dict)
        return server

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
    assert (result["changed"], result["current"], result["images"]) == (False, False, {})
    assert result["summary"] == "stale: there is none yet"
    assert result["newest"] is None
    assert local_cloud.backend.machines == {}
    assert local_cloud.backend.snapshots == set()


def test_it_tells_what_has_changed(run: Run, bake: Run) -> None:
    bake(OLD)
    gone = {"vllm": "0" * 12, "models": "2" * 12, "gone": "3" * 12}
    run(fingerprint=OLD, parts=gone, from_server="gpu-bake", make=True)
    result = run()
    assert (result["current"], result["images"]) == (False, {})
    assert result["summary"] == "stale: because gone, vllm changed"
    assert result["newest"] not in (None, NEW)


def test_it_tells_of_the_current_image(run: Run, bake: Run) -> None:
    bake()
    made = run(from_server="gpu-bake", make=True)
    result = run()
    assert (result["changed"], result["current"], result["images"]) == (False, True, made["images"])
    assert result["summary"] == "image current"


# ---- make -------------------------------------------------------------------------------------------------------


def test_make(run: Run, bake: Run, client: Client, local_cloud: Served) -> None:
    bake()
    result = run(from_server="gpu-bake", make=True)
    assert (result["changed"], result["current"], result["summary"]) == (True, True, "stale: there is none yet")
    (image,) = client.images.get_all(type=["snapshot"])
    assert ({"gpu": str(image.id)}, image.labels, image.status) == (result["images"], labels(NEW), "available")
    assert local_cloud.backend.machines == {}
    assert local_cloud.backend.calls.index("stop") < local_cloud.backend.calls.index("snapshot")
    assert result["diff"] == {
        "before": {"gpu": {"images": [], "servers": ["gpu-bake-gpu"]}},
        "after": {"gpu": {"images": [NEW], "servers": []}},
    }


def test_make_idempotent(run: Run, bake: Run, client: Client) -> None:
    bake()
    made = run(from_server="gpu-bake", make=True)
    again = run(from_server="gpu-bake", make=True)
    assert (again["changed"], again["images"], again["summary"]) == (False, made["images"], "image current")
    assert again["diff"]["before"] == again["diff"]["after"]
    assert images(client) == [labels(NEW)]


def test_make_check(run: Run, bake: Run, client: Client) -> None:
    bake()
    result = run(from_server="gpu-bake", make=True, check=True)
    assert (result["changed"], result["current"], result["images"]) == (True, True, {})
    assert images(client) == []
    assert client.servers.get_by_name("gpu-bake-gpu") is not None


def test_make_check_needs_no_server(run: Run) -> None:
    assert run(from_server="gpu-bake", make=True, check=True)["changed"] is True


def test_make_check_idempotent(run: Run, bake: Run) -> None:
    bake()
    run(from_server="gpu-bake", make=True)
    assert run(from_server="gpu-bake", make=True, check=True)["changed"] is False


def test_older_images_stay_until_they_are_pruned_and_others_are_left_alone(run: Run, bake: Run, client: Client) -> None:
    server = client.servers.get_by_name(bake(OLD)["name"])
    assert server is not None
    server.create_image("mine", labels={"mine": "yes"}).action.wait_until_finished()
    run(fingerprint=OLD, from_server="gpu-bake", make=True)
    bake()
    result = run(from_server="gpu-bake", make=True)
    assert result["diff"]["before"]["gpu"]["images"] == [OLD]
    assert result["diff"]["after"]["gpu"]["images"] == [OLD, NEW]
    assert images(client) == [{"mine": "yes"}, labels(OLD), labels(NEW)]
    result = run(from_server="gpu-bake", prune=True)
    assert result["diff"] == {
        "before": {"gpu": {"images": [OLD, NEW], "servers": []}},
        "after": {"gpu": {"images": [NEW], "servers": []}},
    }
    assert images(client) == [{"mine": "yes"}, labels(NEW)]


def test_an_interrupted_run_is_finished(run: Run, bake: Run, client: Client) -> None:
    bake()
    server = client.servers.get_by_name("gpu-bake-gpu")
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
    server = client.servers.get_by_name(bake()["name"])
    assert server is not None
    server.create_image("made", labels=labels(NEW)).action.wait_until_finished()


@pytest.mark.usefixtures("killed")
def test_what_a_killed_run_left_goes(run: Run, client: Client) -> None:
    result = run(from_server="gpu-bake", prune=True)
    assert (result["changed"], result["current"], result["summary"]) == (True, True, "image current")
    assert result["diff"]["before"]["gpu"] == {"images": [OLD, NEW], "servers": ["gpu-bake-gpu"]}
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
    assert (result["changed"], result["images"]) == (True, run()["images"])
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
    assert client.servers.get_by_name("gpu-bake-gpu") is not None


def test_the_server_of_a_second_run_becomes_no_image(run: Run, bake: Run, client: Client) -> None:
    first, second = bake()["id"], bake()["id"]
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
    assert client.servers.get_by_name("gpu-bake-gpu") is not None
    local_cloud.backend.fails = set()
    assert run(from_server="gpu-bake", make=True)["current"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_server": "gpu-bake", "make": True}, "there is no server that was baked from fingerprint"),
        ({"prune": True}, "prune is True but all of the following are missing: from_server"),
        ({"make": True, "prune": True, "from_server": "gpu-bake"}, "parameters are mutually exclusive: make|prune"),
        ({"make": True}, "make is True but all of the following are missing: from_server"),
        ({"cloud": {"credential_file": "/no/token"}}, "the credential file /no/token of cloud gpu does not exist"),
        ({"cloud": {"endpoint": "http://127.0.0.1:9/v1"}}, "nothing answers at http://127.0.0.1:9/v1"),
        ({"fingerprint": None}, "missing required arguments: fingerprint"),
    ],
)
def test_bad_input_is_refused_in_one_line(run: Run, changes: dict[str, Any], message: str) -> None:
    result = run(**changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_a_wrong_token_is_one_line(run: Run, credential_file: str) -> None:
    Path(credential_file).write_text("x" * 64)
    message = "hetzner: unable to authenticate (unauthorized): check the token in {}, and that it may write"
    assert run()["msg"] == message.format(credential_file)


# ---- in two clouds ----------------------------------------------------------------------------------------------


@pytest.fixture
def run_both(run: Run, gpu: Cloud, other: Cloud) -> Run:
    return lambda **changes: run(**{"clouds": [gpu, other], "from_server": "gpu-bake", **changes})


@pytest.fixture
def other_client(local_cloud: Served, other_token: str) -> Client:
    return Client(other_token, api_endpoint=local_cloud.endpoint)


def test_a_cloud_without_an_image_is_named_whole(run: Run, run_both: Run, bake: Run, gpu: Cloud, other: Cloud) -> None:
    nothing = run_both()
    assert (nothing["current"], [cloud["name"] for cloud in nothing["missing"]]) == (False, ["gpu", "other"])
    bake(cloud=other)
    made = run(clouds=[other], from_server="gpu-bake", make=True)
    assert (made["current"], made["missing"], list(made["images"])) == (True, [], ["other"])
    result = run_both()
    assert (result["changed"], result["current"], result["newest"]) == (False, True, NEW)
    assert result["images"] == made["images"]
    assert result["summary"] == "image current, but none at gpu"
    (missing,) = result["missing"]
    assert gpu.items() <= missing.items()


def test_an_older_image_of_another_cloud_is_not_current(run: Run, run_both: Run, bake: Run, other: Cloud) -> None:
    bake()
    run(from_server="gpu-bake", make=True)
    bake(OLD, cloud=other)
    run(clouds=[other], fingerprint=OLD, from_server="gpu-bake", make=True)
    result = run_both()
    assert (result["current"], list(result["images"])) == (True, ["gpu"])
    assert [cloud["name"] for cloud in result["missing"]] == ["other"]


def test_both_are_made(run_both: Run, bake: Run, other: Cloud, client: Client, other_client: Client) -> None:
    bake()
    bake(cloud=other)
    would = run_both(make=True, check=True)
    assert (would["changed"], would["current"], would["missing"], would["images"]) == (True, True, [], {})
    result = run_both(make=True)
    assert (result["changed"], result["missing"], sorted(result["images"])) == (True, [], ["gpu", "other"])
    assert result["diff"]["before"]["other"] == {"images": [], "servers": ["gpu-bake-other"]}
    for each in (client, other_client):
        assert (images(each), each.servers.get_all()) == ([labels(NEW)], [])
    assert run_both(make=True)["changed"] is False


def test_each_cloud_is_pruned_once_it_has_the_image(
    run: Run, run_both: Run, bake: Run, other: Cloud, client: Client, other_client: Client
) -> None:
    for fingerprint in (OLD, NEW):
        bake(fingerprint)
        run(fingerprint=fingerprint, from_server="gpu-bake", make=True)
    bake(OLD, cloud=other)
    run(clouds=[other], fingerprint=OLD, from_server="gpu-bake", make=True)
    result = run_both(prune=True)
    assert (result["changed"], list(result["diff"]["after"])) == (True, ["gpu"])
    assert (images(client), images(other_client)) == ([labels(NEW)], [labels(OLD)])
    bake(cloud=other)
    run(clouds=[other], from_server="gpu-bake", make=True)
    assert run_both(prune=True)["changed"] is True
    assert (images(client), images(other_client)) == ([labels(NEW)], [labels(NEW)])
    assert run_both(prune=True)["changed"] is False
