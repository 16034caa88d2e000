"""parrotpark_bake_server against the local cloud's API: fresh, replaced, checked only, refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from localcloud.core import scarcity
from localcloud.core.scarcity import Scarcity
from parrotpark.shared.lease import MAKER, UNTIL
from tests.cloud_in_memory import PUBLIC_KEY, Served

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]

OFFER = {"cloud": "gpu", "location": "fsn1", "server_type": "ccx33"}
THERE = {**OFFER, "cloud": "other"}


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away, `cloud` changes its."""
    module = load_module("parrotpark_bake_server")

    def run(*, check: bool = False, cloud: Cloud | None = None, **changes: Any) -> dict[str, Any]:
        arguments = {
            "name": "gpu-bake",
            "clouds": [{**gpu, **(cloud or {})}],
            "offers": [OFFER],
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
    assert (result["changed"], result["reasons"]) == (True, ["there is no server gpu-bake-gpu"])
    (server,) = result["servers"]
    assert (server["name"], server["status"]) == ("gpu-bake-gpu", "running")
    assert before + 7200 <= int(server["labels"][UNTIL]) <= time.time() + 7200
    (machine,) = local_cloud.backend.machines.values()
    assert (machine.name, machine.user_data) == ("gpu-bake-gpu", "#cloud-config {topsecret: 1}")
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["gpu-bake-gpu"]["labels"] == server["labels"]


def test_in_check_mode_it_is_not(run: Run, local_cloud: Served) -> None:
    result = run(check=True)
    assert (result["changed"], result["servers"]) == (True, [])
    assert list(result["diff"]["after"]) == ["gpu-bake-gpu"]
    assert names(local_cloud) == []


# ---- replaced ---------------------------------------------------------------------------------------------------


def test_a_second_run_on_this_machine_replaces_what_the_first_has_left(run: Run, local_cloud: Served) -> None:
    (left,) = run()["servers"]
    result = run(fingerprint="def")
    assert result["reasons"] == ["gpu-bake-gpu goes: an earlier run of ours did not finish it"]
    (made,) = result["servers"]
    assert made["id"] != left["id"]
    assert made["labels"][MAKER] == left["labels"][MAKER]
    assert result["diff"]["before"]["gpu-bake-gpu"]["labels"] == left["labels"]
    assert names(local_cloud) == ["gpu-bake-gpu"]


def test_in_check_mode_what_was_left_stays(run: Run, local_cloud: Served) -> None:
    run()
    machines = set(local_cloud.backend.machines)
    assert run(check=True)["reasons"] == ["gpu-bake-gpu goes: an earlier run of ours did not finish it"]
    assert set(local_cloud.backend.machines) == machines


@pytest.mark.parametrize("check", [False, True])
def test_the_server_of_another_controller_that_is_baking_is_left_alone(
    run: Run, local_cloud: Served, check: bool
) -> None:
    run(maker="somebody")
    machines = set(local_cloud.backend.machines)
    result = run(check=check)
    assert result["failed"]
    assert result["msg"].startswith("somebody is baking a golden image on server gpu-bake-gpu and may do so until 2")
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
    server = client.servers.get_by_name("gpu-bake-gpu")
    assert server is not None
    assert server.public_net is not None
    assert [bound.firewall.name for bound in server.public_net.firewalls or ()] == ["gpu"]


def test_a_wrong_token_is_one_line(run: Run, credential_file: str) -> None:
    Path(credential_file).write_text("x" * 64)
    message = "hetzner: unable to authenticate (unauthorized): check the token in {}, and that it may write"
    assert run()["msg"] == message.format(credential_file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offers": [OFFER | {"server_type": "ccx99"}]}, "server type 'ccx99' is unknown to the cloud"),
        ({"offers": []}, "no offer is given: name at least one location and server type"),
        ({"offers": [THERE]}, "no offer is given: name at least one location and server type"),
        ({"cloud": {"image": "debian-7"}}, "image 'debian-7' is unknown to the cloud"),
        ({"fingerprint": "a:b"}, "fingerprint 'a:b' cannot be a label"),
        ({"cloud": {"credential_file": "/no/token"}}, "the credential file /no/token of cloud gpu does not exist"),
        ({"cloud": {"endpoint": "http://127.0.0.1:9/v1"}}, "nothing answers at http://127.0.0.1:9/v1"),
        ({"offers": None}, "missing required arguments: offers"),
        ({"clouds": None}, "missing required arguments: clouds"),
        ({"cloud": {"provider": "moon"}}, "value of provider must be one of: hetzner, openstack, scaleway, got: moon"),
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


# ---- in two clouds ----------------------------------------------------------------------------------------------


@pytest.fixture
def run_both(run: Run, gpu: Cloud, other: Cloud) -> Run:
    def run_both(**changes: Any) -> dict[str, Any]:
        return run(**{"clouds": [gpu, other], "offers": [THERE, OFFER], **changes})

    return run_both


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warns of; within the test's process Ansible would show it rather than return it."""
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, warning: said.append(warning))
    return said


@pytest.fixture
def sold_out(tmp_path: Path) -> Callable[..., None]:
    """Lets projects have no server more."""

    def sold_out(*projects: str) -> None:
        limits = Scarcity()
        for project in projects:
            limits = limits.with_limit(project, 0)
        scarcity.write(tmp_path / "cloud", limits)

    return sold_out


def test_each_cloud_gets_a_server_of_its_own(run_both: Run, local_cloud: Served, warnings: list[str]) -> None:
    result = run_both(check=True)
    assert (result["changed"], result["servers"]) == (True, [])
    assert result["diff"]["after"]["gpu-bake-other"]["offers"] == ["ccx33 in fsn1 at other"]
    result = run_both()
    made = [(server["name"], server["cloud"]) for server in result["servers"]]
    assert made == [("gpu-bake-gpu", "gpu"), ("gpu-bake-other", "other")]
    assert result["reasons"] == ["there is no server gpu-bake-gpu", "there is no server gpu-bake-other"]
    assert warnings == []
    assert sorted(names(local_cloud)) == ["gpu-bake-gpu", "gpu-bake-other"]


def test_a_cloud_without_capacity_is_a_warning_where_another_has_some(
    run_both: Run, sold_out: Callable[..., None], local_cloud: Served, warnings: list[str]
) -> None:
    sold_out("gpu")
    result = run_both()
    assert [server["name"] for server in result["servers"]] == ["gpu-bake-other"]
    assert (result["changed"], names(local_cloud)) == (True, ["gpu-bake-other"])
    (warning,) = warnings
    assert warning.startswith("no golden image is baked now: no offer can be had now: ccx33 in fsn1 at gpu: ")


def test_where_none_has_capacity_all_lines_are_given(run_both: Run, sold_out: Callable[..., None]) -> None:
    sold_out("gpu", "entry")
    result = run_both()
    assert result["failed"]
    first, second = result["msg"].split("no offer can be had now: ")[1:]
    assert first.startswith("ccx33 in fsn1 at gpu: ")
    assert second.startswith("ccx33 in fsn1 at other: ")
    assert "\n" not in result["msg"]


def test_what_is_optional_may_be_had_nowhere(
    run_both: Run, sold_out: Callable[..., None], local_cloud: Served, warnings: list[str]
) -> None:
    sold_out("gpu", "entry")
    result = run_both(optional=True)
    assert not result.get("failed")
    assert (result["changed"], result["servers"], len(warnings)) == (False, [], 2)
    assert names(local_cloud) == []


def test_nothing_is_made_anywhere_where_one_cloud_could_never_make_it(
    run_both: Run, gpu: Cloud, other: Cloud, local_cloud: Served
) -> None:
    result = run_both(clouds=[gpu, {**other, "image": "debian-7"}], optional=True)
    assert result["failed"]
    assert result["msg"].startswith("image 'debian-7' is unknown to the cloud")
    assert names(local_cloud) == []


def test_who_bakes_in_one_cloud_is_left_alone_in_all(
    run: Run, run_both: Run, other: Cloud, local_cloud: Served
) -> None:
    run(clouds=[other], offers=[THERE], maker="somebody")
    result = run_both(optional=True)
    assert result["failed"]
    assert result["msg"].startswith("somebody is baking a golden image on server gpu-bake-other and may do so until 2")
    assert names(local_cloud) == ["gpu-bake-other"]
