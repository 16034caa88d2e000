"""Servers become hosts; which clouds to ask follows from the inputs, and every one must answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from parrotpark.cloud import Credential, Offer, Server, ServerSpec, connect
from parrotpark.cloud.credentials import read_credential
from parrotpark.cloud.errors import AuthFailed, CloudError, InvalidRequest
from parrotpark.control.inventory import Project, Settings, hosts, list_servers
from parrotpark.shared.lease import Lease, State
from tests.cloud_in_memory import Served

LEASE = Lease("gpu", "gpu-1", State.SERVING, "me", "abc", 1_800_000_000)
SERVER = Server("7", "gpu-1", "running", "hetzner", "fsn1", "gpu-l4", "debian-13", "192.0.2.7", None, LEASE.labels(), 1)


def test_a_server_becomes_a_host() -> None:
    (host,) = hosts([SERVER])
    assert host.name == "gpu-1"
    assert host.groups == ("gpu", "location_fsn1", "slot_gpu_1", "state_serving")
    assert host.variables["ansible_host"] == "192.0.2.7"
    facts = host.variables["parrotpark_server"]
    assert isinstance(facts, dict)
    assert (facts["role"], facts["slot"], facts["state"]) == ("gpu", "gpu-1", "serving")
    assert facts["labels"] == LEASE.labels()


def test_an_entry_server_stands_in_no_slot() -> None:
    (host,) = hosts([replace(SERVER, name="entry", labels={"parrotpark-role": "entry"}, ipv4=None)])
    assert host.groups == ("entry", "location_fsn1")
    assert "ansible_host" not in host.variables


def test_hosts_know_how_they_are_reached_where_the_keys_are_named() -> None:
    entry = replace(SERVER, name="entry", labels={"parrotpark-role": "entry"}, ipv4="192.0.2.1")
    alone, nowhere = hosts([SERVER, replace(SERVER, name="gpu-2", ipv4=None)], PurePath("/keys"))
    assert "ProxyCommand" not in str(alone.variables["ansible_ssh_common_args"])
    assert nowhere.variables.keys() == {"parrotpark_server"}
    direct, jumping = hosts([entry, SERVER], PurePath("/keys"))
    assert "ProxyCommand" not in str(direct.variables["ansible_ssh_common_args"])
    assert "root@192.0.2.1" in str(jumping.variables["ansible_ssh_common_args"])
    assert jumping.variables["ansible_ssh_private_key_file"] == "/keys/id_ed25519"


def test_two_servers_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="two servers are named 'gpu-1'"):
        hosts([SERVER, replace(SERVER, id="8")])


INPUTS = {
    "parrotpark_entry_endpoint": "https://entry.example/v1",
    "parrotpark_entry_token_file": "~/entry.token",
    "parrotpark_gpu_endpoint": "https://gpu.example/v1",
    "parrotpark_gpu_token_file": "/gpu.token",
    "parrotpark_state_dir": "~/state",
    "parrotpark_vault_password_file": "~/vault-password",
}


def test_the_settings_are_the_inputs() -> None:
    assert Settings.read(INPUTS.get) == Settings(
        projects=(
            Project("https://entry.example/v1", "~/entry.token"),
            Project("https://gpu.example/v1", "/gpu.token"),
        ),
        state_dir=Path.home() / "state",
        vault_password_file=Path.home() / "vault-password",
    )


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("value", [None, "", 8770])
def test_an_input_that_is_missing_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is missing from the inventory, or not text: docs/inputs.md"):
        Settings.read((INPUTS | {name: value}).get)


def test_all_projects_are_listed(local_cloud: Served, credential: Credential, tmp_path: Path) -> None:
    cloud = connect("hetzner", credential, local_cloud.endpoint)
    cloud.create(ServerSpec("gpu-1", Offer("fsn1", "ccx33"), "debian-13", LEASE.labels()))
    cloud.create(ServerSpec("stranger", Offer("fsn1", "ccx33"), "debian-13", {}))
    (tmp_path / "token").write_text(f"{credential.token}\n")
    project = Project(local_cloud.endpoint, str(tmp_path / "token"))
    assert [server.name for server in list_servers([project, project])] == ["gpu-1", "gpu-1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_file": "{}/none"}, "the token file .*/none does not exist: put the API token of the project there"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1: start the local cloud"),
        ({"token_file": "{}/wrong"}, "check the token in .*/wrong"),
    ],
)
def test_one_project_that_cannot_be_asked_is_an_error(
    local_cloud: Served, credential: Credential, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    (tmp_path / "token").write_text(credential.token)
    (tmp_path / "wrong").write_text("wrong")
    good = Project(local_cloud.endpoint, str(tmp_path / "token"))
    bad = replace(good, **{name: value.format(tmp_path) for name, value in changes.items()})
    with pytest.raises(CloudError, match=message):
        list_servers([good, bad])


def test_a_token_that_was_never_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(AuthFailed, match="set token_file or token_env"):
        read_credential(None, None, {})
    with pytest.raises(AuthFailed, match="environment variable TOKEN is empty: put the API token"):
        read_credential(None, "TOKEN", {})
    with pytest.raises(AuthFailed, match="empty is empty: put the API token"):
        read_credential(str(tmp_path / "empty"), None, {})
    with pytest.raises(AuthFailed, match="cannot be read"):
        read_credential(str(tmp_path), None, {})


def test_a_credential_hides_its_token_when_printed(credential: Credential) -> None:
    assert credential.token not in repr(credential)
