"""parrotpark_bake_server against the local cloud's API: fresh, replaced, checked only, refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from parrotpark.shared.lease import MAKER, UNTIL
from tests.cloud_in_memory import PUBLIC_KEY, Served

type Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], local_cloud: Served, token_file: str) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away."""
    module = load_module("parrotpark_bake_server")

    def run(*, check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "name": "gpu-bake",
            "endpoint": local_cloud.endpoint,
            "token_file": token_file,
            "offers": [{"location": "fsn1", "server_type": "ccx33"}],
            "image": "debian-13",
            "fingerprint": "abc",
            "user_data": "#cloud-config {topsecret: 1}",
            **changes,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        result = run_module(module, **{name: value for name, value in arguments.items() if value is not None})
        assert "topsecret" not in str(result)
        return result

    return run


def names(local_cloud: Served) -> list[str]:
    return [machine.name for machine in local_cloud.backend.machines.values()]


# ---- fresh ------------------------------------------------------------------------------------------------------


def test_a_server_is_made(run: Run, local_cloud: Served) -> None:
    before = int(time.time())
    result = run(lease_hours=2)
    assert (result["changed"], result["reason"]) == (True, "there is no server gpu-bake")
    server = result["server"]
    assert (server["name"], server["status"]) == ("gpu-bake", "running")
    assert before + 7200 <= int(server["labels"][UNTIL]) <= time.time() + 7200
    (machine,) = local_cloud.backend.machines.values()
    assert (machine.name, machine.user_data) == ("gpu-bake", "#cloud-config {topsecret: 1}")
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["gpu-bake"]["labels"] == server["labels"]


def test_in_check_mode_it_is_not(run: Run, local_cloud: Served) -> None:
    result = run(check=True)
    assert (result["changed"], result["server"]) == (True, {})
    assert list(result["diff"]["after"]) == ["gpu-bake"]
    assert names(local_cloud) == []


# ---- replaced ---------------------------------------------------------------------------------------------------


def test_a_second_run_on_this_machine_replaces_what_the_first_has_left(run: Run, local_cloud: Served) -> None:
    left = run()["server"]
    result = run(fingerprint="def")
    assert result["reason"] == "gpu-bake goes: an earlier run of ours did not finish it"
    assert result["server"]["id"] != left["id"]
    assert result["server"]["labels"][MAKER] == left["labels"][MAKER]
    assert result["diff"]["before"]["gpu-bake"]["labels"] == left["labels"]
    assert names(local_cloud) == ["gpu-bake"]


def test_in_check_mode_what_was_left_stays(run: Run, local_cloud: Served) -> None:
    run()
    machines = set(local_cloud.backend.machines)
    assert run(check=True)["reason"] == "gpu-bake goes: an earlier run of ours did not finish it"
    assert set(local_cloud.backend.machines) == machines


@pytest.mark.parametrize("check", [False, True])
def test_the_server_of_another_controller_that_is_baking_is_left_alone(
    run: Run, local_cloud: Served, check: bool
) -> None:
    run(maker="somebody")
    machines = set(local_cloud.backend.machines)
    result = run(check=check)
    assert result["failed"]
    assert result["msg"].startswith("somebody is baking a golden image on server gpu-bake and may do so until 2")
    assert result["msg"].endswith("Z: wait until it is done, or delete that server")
    assert set(local_cloud.backend.machines) == machines


# ---- what is handed to the cloud, and what is refused -----------------------------------------------------------


def test_keys_and_firewalls_reach_the_server(run: Run, local_cloud: Served, token: str) -> None:
    from hcloud import Client

    client = Client(token, api_endpoint=local_cloud.endpoint)
    client.ssh_keys.create("deploy", PUBLIC_KEY)
    client.firewalls.create("gpu", [])
    run(ssh_keys=["deploy"], firewalls=["gpu"])
    (machine,) = local_cloud.backend.machines.values()
    assert machine.ssh_public_keys == (PUBLIC_KEY,)
    server = client.servers.get_by_name("gpu-bake")
    assert server is not None
    assert server.public_net is not None
    assert [bound.firewall.name for bound in server.public_net.firewalls or ()] == ["gpu"]


def test_the_environment_stands_in_for_token_and_endpoint(
    run: Run, local_cloud: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_ENDPOINT", local_cloud.endpoint)
    monkeypatch.setenv("HCLOUD_TOKEN", token)
    assert run(endpoint=None, token_file=None)["server"]["name"] == "gpu-bake"


def test_a_wrong_token_is_one_line(run: Run, token_file: str) -> None:
    Path(token_file).write_text("x" * 64)
    message = f"hetzner: unable to authenticate (unauthorized): check the token in {token_file}, and that it may write"
    assert run()["msg"] == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offers": [{"location": "fsn1", "server_type": "ccx99"}]}, "server type 'ccx99' is unknown to the cloud"),
        ({"offers": []}, "no offer is given: name at least one location and server type"),
        ({"image": "debian-7"}, "image 'debian-7' is unknown to the cloud"),
        ({"fingerprint": "a:b"}, "fingerprint 'a:b' cannot be a label"),
        ({"token_file": "/nowhere/token"}, "the token file /nowhere/token does not exist"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1"),
        ({"offers": None}, "missing required arguments: offers"),
        ({"lease_hours": 4}, "a lease of 4 hours is not possible: give 1 to 3"),
        ({"lease_hours": -1}, "a lease of -1 hours is not possible: give 1 to 3"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(
    run: Run, local_cloud: Served, changes: dict[str, Any], message: str, check: bool
) -> None:
    result = run(check=check, **changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]
    assert local_cloud.backend.machines == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssh_keys": ["nobody"]}, "SSH key 'nobody' is unknown to the cloud"),
        ({"firewalls": ["none"]}, "firewall 'none' is unknown to the cloud"),
    ],
)
def test_a_key_and_a_firewall_must_be_there_but_in_a_check(run: Run, changes: dict[str, Any], message: str) -> None:
    """The tasks before it, which make them, were only checked, too."""
    assert run(**changes)["msg"].startswith(message)
    assert run(check=True, **changes)["changed"]
