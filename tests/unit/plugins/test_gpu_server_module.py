"""parrotpark_gpu_server against the local cloud's API: change, idempotent, check, check-idempotent for each change."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localcloud.testing import PUBLIC_KEY, Served
from parrotpark.lease import STATE, UNTIL

type Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], local_cloud: Served, token: str) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away."""
    module = load_module("parrotpark_gpu_server")

    def run(*, check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "slot": "gpu-1",
            "endpoint": local_cloud.endpoint,
            "token": token,
            "offers": [{"location": "fsn1", "server_type": "ccx33"}],
            "image": "debian-13",
            "fingerprint": "abc",
            "user_data": "#cloud-config {topsecret: 1}",
            **changes,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        return run_module(module, **{name: value for name, value in arguments.items() if value is not None})

    return run


def outcome(result: dict[str, Any]) -> tuple[bool, str]:
    assert "topsecret" not in str(result)
    return result["changed"], result["verb"]


# ---- create -----------------------------------------------------------------------------------------------------


def test_create(run: Run, local_cloud: Served) -> None:
    before = int(time.time())
    result = run(lease_hours=2, labels={"localhost-port": 8443})
    assert outcome(result) == (True, "create")
    server = result["server"]
    assert (server["name"], server["status"]) == ("gpu-1", "running")
    assert server["labels"]["localhost-port"] == "8443"
    assert before + 7200 <= int(server["labels"][UNTIL]) <= time.time() + 7200
    (machine,) = local_cloud.backend.machines.values()
    assert (machine.name, machine.user_data) == ("gpu-1", "#cloud-config {topsecret: 1}")
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["gpu-1"]["labels"] == server["labels"]


def test_create_idempotent(run: Run) -> None:
    server = run()["server"]
    again = run()
    assert outcome(again) == (False, "keep")
    assert again["server"] == server
    assert again["diff"]["before"] == again["diff"]["after"]


def test_create_check(run: Run, local_cloud: Served) -> None:
    result = run(check=True)
    assert outcome(result) == (True, "create")
    assert result["server"] == {}
    assert local_cloud.backend.machines == {}


def test_create_check_idempotent(run: Run) -> None:
    run()
    assert outcome(run(check=True)) == (False, "keep")


# ---- adjust -----------------------------------------------------------------------------------------------------


def test_adjust(run: Run) -> None:
    created = run()["server"]
    result = run(phase="serving")
    assert outcome(result) == (True, "adjust")
    assert result["server"] == {**created, "labels": {**created["labels"], STATE: "serving"}}
    assert result["diff"]["before"]["gpu-1"]["labels"][STATE] == "baking"
    assert result["diff"]["after"]["gpu-1"]["labels"][STATE] == "serving"


def test_adjust_idempotent(run: Run) -> None:
    run(phase="serving")
    assert outcome(run(phase="serving")) == (False, "keep")
    assert outcome(run()) == (False, "keep")


def test_adjust_check(run: Run) -> None:
    created = run()["server"]
    assert outcome(run(phase="serving", check=True)) == (True, "adjust")
    assert run()["server"] == created


def test_adjust_check_idempotent(run: Run) -> None:
    run(phase="serving")
    assert outcome(run(phase="serving", check=True)) == (False, "keep")


# ---- replace ----------------------------------------------------------------------------------------------------


def test_replace(run: Run, local_cloud: Served) -> None:
    created = run()["server"]
    result = run(fingerprint="def")
    assert outcome(result) == (True, "replace")
    assert result["reason"] == "gpu-1: its fingerprint is abc, not def"
    assert result["server"]["id"] != created["id"]
    assert len(local_cloud.backend.machines) == 1


def test_replace_idempotent(run: Run) -> None:
    run()
    run(fingerprint="def")
    assert outcome(run(fingerprint="def")) == (False, "keep")


def test_replace_check(run: Run) -> None:
    created = run()["server"]
    assert outcome(run(fingerprint="def", check=True)) == (True, "replace")
    assert run()["server"] == created


def test_replace_check_idempotent(run: Run) -> None:
    run()
    run(fingerprint="def")
    assert outcome(run(fingerprint="def", check=True)) == (False, "keep")


# ---- delete -----------------------------------------------------------------------------------------------------


def test_delete(run: Run, local_cloud: Served) -> None:
    run()
    result = run(state="absent", offers=None, image=None, fingerprint=None)
    assert outcome(result) == (True, "delete")
    assert result["server"] == {}
    assert local_cloud.backend.machines == {}
    assert result["diff"]["after"] == {}


def test_delete_idempotent(run: Run) -> None:
    assert outcome(run(state="absent")) == (False, "keep")


def test_delete_check(run: Run) -> None:
    created = run()["server"]
    assert outcome(run(state="absent", check=True)) == (True, "delete")
    assert run()["server"] == created


def test_delete_check_idempotent(run: Run) -> None:
    assert outcome(run(state="absent", check=True)) == (False, "keep")


# ---- what is handed to the cloud, and what is refused -----------------------------------------------------------


def test_keys_and_firewalls_reach_the_server(run: Run, local_cloud: Served, token: str) -> None:
    from hcloud import Client

    client = Client(token, api_endpoint=local_cloud.endpoint)
    client.ssh_keys.create("deploy", PUBLIC_KEY)
    client.firewalls.create("gpu", [])
    run(ssh_keys=["deploy"], firewalls=["gpu"])
    (machine,) = local_cloud.backend.machines.values()
    assert machine.ssh_public_keys == (PUBLIC_KEY,)
    server = client.servers.get_by_name("gpu-1")
    assert server is not None
    assert server.public_net is not None
    assert [bound.firewall.name for bound in server.public_net.firewalls or ()] == ["gpu"]


def test_the_environment_stands_in_for_token_and_endpoint(
    run: Run, local_cloud: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_ENDPOINT", local_cloud.endpoint)
    monkeypatch.setenv("HCLOUD_TOKEN", token)
    assert outcome(run(endpoint=None, token=None)) == (True, "create")


def test_a_token_file_will_do(run: Run, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    assert outcome(run(token=None, token_file=str(tmp_path / "token"))) == (True, "create")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offers": [{"location": "fsn1", "server_type": "ccx99"}]}, "server type 'ccx99' is unknown to the cloud"),
        ({"offers": []}, "no offer is given: name at least one location and server type"),
        ({"image": "debian-7"}, "image 'debian-7' is unknown to the cloud"),
        ({"ssh_keys": ["nobody"]}, "SSH key 'nobody' is unknown to the cloud"),
        ({"firewalls": ["none"]}, "firewall 'none' is unknown to the cloud"),
        ({"fingerprint": "a:b"}, "fingerprint 'a:b' cannot be a label"),
        ({"token": "x" * 64}, "hetzner: unable to authenticate (unauthorized): check the module's option token"),
        ({"token": None, "token_file": "/nowhere/token"}, "the token file /nowhere/token does not exist"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1"),
        ({"offers": None}, "state is present but all of the following are missing: offers"),
        ({"phase": "sleeping"}, "value of phase must be one of: baking, waking, serving, got: sleeping"),
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
