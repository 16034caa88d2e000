"""The inventory plugin: hosts and groups by label, composed ones too, a cache, and clouds that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

from localcloud.testing import Served
from parrotpark.cloud import Cloud, Credential, Place, ServerSpec, connect
from parrotpark.lease import Lease, State

type Load = Callable[..., InventoryData]


@pytest.fixture
def cloud(local_cloud: Served, token: str, tmp_path: Path) -> Cloud:
    """A project with one GPU host."""
    (tmp_path / "token").write_text(token)
    cloud = connect("hetzner", Credential(token, "the test"), local_cloud.endpoint)
    labels = Lease("gpu", "gpu-1", State.SERVING, "me", "abc", 1_800_000_000).labels()
    cloud.create(ServerSpec("gpu-1", Place("fsn1", "ccx33"), "debian-13", labels))
    return cloud


@pytest.fixture
def load(local_cloud: Served, tmp_path: Path, loader: DataLoader) -> Load:
    def load(**options: Any) -> InventoryData:
        clouds = [{"provider": "hetzner", "endpoint": local_cloud.endpoint, "token_file": str(tmp_path / "token")}]
        path = tmp_path / "parrotpark.yml"
        path.write_text(yaml.safe_dump({"plugin": "parrotpark", "clouds": clouds, **options}))
        plugin = inventory_loader.get("parrotpark")
        assert plugin.verify_file(str(path))
        inventory = InventoryData()
        plugin.parse(inventory, loader, str(path), cache=True)
        if options.get("cache"):
            plugin.update_cache_if_changed()
        inventory.reconcile_inventory()
        return inventory

    return load


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, **_: shown.append(text))
    return shown


def groups(inventory: InventoryData) -> set[str]:
    return {group.name for group in inventory.hosts["gpu-1"].get_groups()}


@pytest.mark.usefixtures("cloud")
def test_hosts_stand_in_groups_by_label(load: Load) -> None:
    inventory = load()
    assert set(inventory.hosts) == {"gpu-1"}
    assert groups(inventory) == {"all", "gpu", "slot_gpu_1", "state_serving", "location_fsn1"}
    variables = inventory.hosts["gpu-1"].get_vars()
    assert variables["ansible_host"] == variables["parrotpark_server"]["ipv4"]
    assert variables["parrotpark_server"]["slot"] == "gpu-1"


def test_groups_that_playbooks_name_are_there_though_empty(load: Load) -> None:
    assert {"entry", "gpu", "bake"} <= set(load().groups)


@pytest.mark.usefixtures("cloud")
def test_variables_and_groups_can_be_composed(load: Load) -> None:
    inventory = load(
        compose={"ansible_user": "'root'"},
        groups={"large": "parrotpark_server.server_type.startswith('ccx')", "small": "false"},
        keyed_groups=[{"key": "parrotpark_server.server_type", "prefix": "type"}],
    )
    assert {"large", "type_ccx33"} <= groups(inventory)
    assert "small" not in groups(inventory)
    assert inventory.hosts["gpu-1"].get_vars()["ansible_user"] == "root"


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(("given", "meant"), [("keys/ssh", "{}/keys/ssh"), ("/keys", "/keys"), ("{}/k", "{}/k")])
def test_a_relative_folder_of_keys_starts_at_the_configuration(
    load: Load, tmp_path: Path, given: str, meant: str
) -> None:
    variables = load(ssh_directory=given.format(tmp_path)).hosts["gpu-1"].get_vars()
    assert variables["ansible_ssh_private_key_file"] == f"{meant.format(tmp_path)}/id_ed25519"


def test_the_cache_answers_until_it_is_old(load: Load, cloud: Cloud, tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    load(**cache)
    for server in cloud.servers({}):
        cloud.delete(server)
    assert set(load(**cache).hosts) == {"gpu-1"}
    assert set(load(cache=False).hosts) == set()


def test_a_cloud_that_is_not_there_yet_is_one_warning(load: Load, warnings: list[str], tmp_path: Path) -> None:
    missing = {"provider": "hetzner", "token_file": str(tmp_path / "none")}
    (tmp_path / "token").write_text("x")
    refused = {"provider": "hetzner", "endpoint": "http://127.0.0.1:9/v1", "token_file": str(tmp_path / "token")}
    assert set(load(clouds=[missing, missing, refused]).hosts) == set()
    assert warnings == [
        f"no hosts from a cloud that is not there yet: the token file {tmp_path}/none does not exist; "
        "nothing answers at http://127.0.0.1:9/v1: start the local cloud, or check the endpoint and the network"
    ]


def test_a_cloud_that_is_not_there_yet_is_not_cached(load: Load, tmp_path: Path, request: Any) -> None:
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    assert set(load(**cache).hosts) == set()
    request.getfixturevalue("cloud")
    assert set(load(**cache).hosts) == {"gpu-1"}


def test_a_wrong_token_is_an_error_of_one_line(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wrong")
    with pytest.raises(AnsibleParserError) as caught:
        load()
    assert caught.value.message == (
        f"hetzner: unable to authenticate (unauthorized): check the token in {tmp_path}/token, and that it may write"
    )


def test_a_wrong_configuration_is_an_error_of_one_line(load: Load) -> None:
    with pytest.raises(AnsibleParserError, match="provider in clouds must be one of hetzner"):
        load(clouds=[{"provider": "acme"}])


@pytest.mark.parametrize("name", ["hosts.yml", "parrotpark.json"])
def test_other_files_are_left_to_other_plugins(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert not inventory_loader.get("parrotpark").verify_file(str(tmp_path / name))
