"""Servers become hosts; which clouds to ask follows from the inputs, and every one must answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import pytest

from parrotpark.cloud import Account, Offer, Server, ServerSpec, connect
from parrotpark.cloud.errors import CloudError, InvalidRequest
from parrotpark.control.inventory import Settings, hosts, list_servers
from parrotpark.shared.lease import Lease, State
from tests.cloud_in_memory import TOKENS

LEASE = Lease("gpu", "gpu-1", State.SERVING, "me", "abc", 1_800_000_000)
SERVER = Server("7", "gpu-1", "running", "my-gpu", "fsn1", "gpu-l4", "debian-13", "192.0.2.7", None, LEASE.labels(), 1)


def test_a_server_becomes_a_host() -> None:
    (host,) = hosts([SERVER])
    assert host.name == "gpu-1"
    assert host.groups == ("gpu", "cloud_my_gpu", "location_fsn1", "slot_gpu_1", "state_serving")
    assert host.variables["ansible_host"] == "192.0.2.7"
    facts = host.variables["parrotpark_server"]
    assert isinstance(facts, dict)
    assert (facts["role"], facts["slot"], facts["state"]) == ("gpu", "gpu-1", "serving")
    assert facts["labels"] == LEASE.labels()


def test_an_entry_server_stands_in_no_slot() -> None:
    (host,) = hosts([replace(SERVER, name="entry", labels={"parrotpark-role": "entry"}, ipv4=None)])
    assert host.groups == ("entry", "cloud_my_gpu", "location_fsn1")
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
        hosts([SERVER, replace(SERVER, cloud="other")])


INPUTS = {
    "parrotpark_clouds": [
        {
            "name": "entry",
            "provider": "hetzner",
            "credential_file": "~/entry.token",
            "endpoint": "https://entry.example",
        },
        {"name": "gpu", "provider": "hetzner", "credential_file": "/gpu.token", "image": "debian-14"},
    ],
    "parrotpark_state_dir": "~/state",
    "parrotpark_vault_password_file": "~/vault-password",
}


def test_the_settings_are_the_inputs() -> None:
    own = "https://api.hetzner.cloud/v1"
    assert Settings.read(INPUTS.get) == Settings(
        clouds=(
            Account("entry", "hetzner", "~/entry.token", "https://entry.example", image="debian-13"),
            Account("gpu", "hetzner", "/gpu.token", own, image="debian-14"),
        ),
        state_dir=Path.home() / "state",
        vault_password_file=Path.home() / "vault-password",
    )


@pytest.mark.parametrize("name", ["parrotpark_state_dir", "parrotpark_vault_password_file"])
@pytest.mark.parametrize("value", [None, "", 8770])
def test_an_input_that_is_missing_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is missing from the inventory, or not text: docs/inputs.md"):
        Settings.read((INPUTS | {name: value}).get)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "is missing from the inventory, or is not a list of clouds"),
        (8770, "is missing from the inventory, or is not a list of clouds"),
        ("gpu", "is missing from the inventory, or is not a list of clouds"),
        ({"name": "gpu"}, "is missing from the inventory, or is not a list of clouds"),
        ([None], "is missing from the inventory, or is not a list of clouds"),
        ([{"name": "gpu", "provider": "hetzner"}], "credential_file"),
        ([{"name": "gpu", "provider": "hetzner", "credential_file": "/f", "regoin": "x"}], "'regoin'"),
        ([], "names no cloud"),
    ],
)
def test_a_list_of_clouds_that_makes_no_sense_is_one_line(value: object, what: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Settings.read((INPUTS | {"parrotpark_clouds": value}).get)
    line = str(caught.value)
    assert line.startswith("parrotpark_clouds ")
    assert what in line
    assert line.endswith(": docs/inputs.md explains it")
    assert "\n" not in line


def test_all_clouds_are_listed(account: Account, tmp_path: Path) -> None:
    cloud = connect(account)
    cloud.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), "debian-13", LEASE.labels()))
    cloud.create(ServerSpec("stranger", Offer("gpu", "fsn1", "ccx33"), "debian-13", {}))
    (tmp_path / "other").write_text(next(token for token, project in TOKENS.items() if project == "entry"))
    other = replace(account, name="other", credential_file=str(tmp_path / "other"))
    connect(other).create(
        ServerSpec("entry", Offer("other", "fsn1", "ccx33"), "debian-13", {"parrotpark-role": "entry"})
    )
    listed = list_servers([account, other])
    assert [(server.name, server.cloud) for server in listed] == [("gpu-1", "gpu"), ("entry", "other")]


def test_a_project_under_two_names_is_refused(account: Account) -> None:
    with pytest.raises(InvalidRequest, match="clouds gpu and other of parrotpark_clouds have the same name or project"):
        list_servers([account, replace(account, name="other")])
    with pytest.raises(InvalidRequest, match="clouds gpu and gpu of parrotpark_clouds have the same name or project"):
        list_servers([account, replace(account, endpoint="https://other.example")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"credential_file": "{}/none"},
            "the credential file .*/none of cloud other does not exist: put the API",
        ),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1: start the local cloud"),
        ({"credential_file": "{}/wrong"}, "check the token in .*/wrong"),
        ({"provider": "moon"}, "provider 'moon' is unknown; known: hetzner"),
    ],
)
def test_one_cloud_that_cannot_be_asked_is_an_error(
    account: Account, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    (tmp_path / "wrong").write_text("wrong")
    bad = replace(account, name="other", **{name: value.format(tmp_path) for name, value in changes.items()})
    with pytest.raises(CloudError, match=message):
        list_servers([account, bad])
