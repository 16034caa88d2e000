"""The inventory plugin: hosts and groups by label, a cache, the vault password, and clouds that cannot be asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import inventory_loader

from parrotpark.cloud import Account, Cloud, Offer, ServerSpec, connect
from parrotpark.shared.lease import Lease, State

type Load = Callable[..., InventoryData]


@pytest.fixture
def cloud(gpu: dict[str, str]) -> Cloud:
    """A project with one GPU host."""
    cloud = connect(Account.of(gpu))
    labels = Lease("gpu", "gpu-1", State.SERVING, "me", "abc", 1_800_000_000).labels()
    cloud.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), "debian-13", labels))
    return cloud


@pytest.fixture
def load(gpu: dict[str, str], other: dict[str, str], tmp_path: Path) -> Load:
    entry = other | {"name": "entry", "credential_file": "{{ inventory_dir }}/{{ 'other' }}.token"}

    def load(
        *, inputs: dict[str, Any] | None = None, secrets: list[Any] | None = None, **options: Any
    ) -> InventoryData:
        given = {
            "parrotpark_clouds": [entry, gpu],
            "parrotpark_state_dir": str(tmp_path / "state"),
            "parrotpark_vault_password_file": str(tmp_path / "vault-password"),
            **(inputs or {}),
        }
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        set_ones = {name: value for name, value in given.items() if value is not None}
        (tmp_path / "group_vars/all.yml").write_text(yaml.safe_dump(set_ones))
        path = tmp_path / "parrotpark.yml"
        path.write_text(yaml.safe_dump({"plugin": "parrotpark", **options}))
        loader = DataLoader()
        loader.set_vault_secrets([] if secrets is None else secrets)
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
def refusal(load: Load, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ends the command."""

    def refusal(**options: Any) -> str:
        with pytest.raises(SystemExit) as ended:
            load(**options)
        assert ended.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("[ERROR]: ")

    return refusal


def groups(inventory: InventoryData) -> set[str]:
    return {group.name for group in inventory.hosts["gpu-1"].get_groups()}


@pytest.mark.usefixtures("cloud")
def test_hosts_stand_in_groups_by_label(load: Load) -> None:
    inventory = load()
    assert set(inventory.hosts) == {"gpu-1"}
    assert groups(inventory) == {"all", "gpu", "cloud_gpu", "slot_gpu_1", "state_serving", "location_fsn1"}
    variables = inventory.hosts["gpu-1"].get_vars()
    assert variables["ansible_host"] == variables["parrotpark_server"]["ipv4"]
    server = variables["parrotpark_server"]
    assert (server["slot"], server["cloud"]) == ("gpu-1", "gpu")


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
def test_hosts_are_reached_with_the_keys_of_the_state_folder(load: Load, tmp_path: Path) -> None:
    variables = load().hosts["gpu-1"].get_vars()
    assert variables["ansible_ssh_private_key_file"] == f"{tmp_path}/state/ssh/id_ed25519"


def test_localhost_knows_the_folder_of_an_empty_inventory(load: Load, tmp_path: Path) -> None:
    assert load().groups["all"].get_vars()["inventory_dir"] == str(tmp_path)


def test_what_nobody_sets_has_the_default_of_the_schema(load: Load) -> None:
    variables = load(inputs={"parrotpark_gpu_slots": "7"}).groups["all"].get_vars()
    assert variables["parrotpark_public_port"] == 443
    assert variables["parrotpark_gpu_slots"] == 2  # group_vars win over it later
    assert "parrotpark_domain" not in variables


@pytest.mark.usefixtures("cloud")
def test_a_default_may_be_a_template(load: Load, tmp_path: Path) -> None:
    variables = load(inputs={"parrotpark_state_dir": None}).hosts["gpu-1"].get_vars()
    assert variables["ansible_ssh_private_key_file"] == f"{tmp_path}/.state/ssh/id_ed25519"


def test_the_cache_answers_until_it_is_old(load: Load, cloud: Cloud, tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    load(**cache)
    for server in cloud.servers({}):
        cloud.delete(server)
    assert set(load(**cache).hosts) == {"gpu-1"}
    assert set(load(cache=False).hosts) == set()


def test_a_cloud_that_cannot_be_asked_ends_the_command(
    refusal: Callable[..., str], gpu: dict[str, str], other: dict[str, str], tmp_path: Path
) -> None:
    def refused(**changes: str) -> str:
        return refusal(inputs={"parrotpark_clouds": [other, gpu | changes]})

    assert refused(credential_file=str(tmp_path / "none")).startswith(
        f"the credential file {tmp_path}/none of cloud gpu does not exist: put the API token of the project there"
    )
    unreachable = refused(endpoint="http://127.0.0.1:9/v1")
    assert unreachable.startswith("nothing answers at http://127.0.0.1:9/v1: start the local cloud")
    (tmp_path / "token").write_text("wrong")
    assert refused() == (
        f"hetzner: unable to authenticate (unauthorized): check the token in {tmp_path}/token, and that it may write"
    )


@pytest.mark.parametrize(
    ("clouds", "line"),
    [
        (None, "parrotpark_clouds is missing from the inventory, or is not a list of clouds ("),
        ("gpu", "parrotpark_clouds is missing from the inventory, or is not a list of clouds ("),
        ([], "parrotpark_clouds names no cloud: docs/inputs.md explains it"),
        ([{"name": "gpu", "provider": "moon", "credential_file": "/f"}], "provider 'moon' is unknown; known: hetzner"),
        ([{"name": "gpu", "token_file": "/f"}], "parrotpark_clouds is missing from the inventory, or is not a list of"),
    ],
)
def test_clouds_that_make_no_sense_end_the_command(refusal: Callable[..., str], clouds: object, line: str) -> None:
    assert refusal(inputs={"parrotpark_clouds": clouds}).startswith(line)


def test_a_missing_input_ends_the_command(refusal: Callable[..., str]) -> None:
    line = refusal(inputs={"parrotpark_state_dir": ""})
    assert line == "parrotpark_state_dir is missing from the inventory, or not text: docs/inputs.md explains it"


def test_a_syntax_check_asks_nobody(load: Load, gpu: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    cli(monkeypatch, syntax=True)
    nowhere = {"parrotpark_clouds": [gpu | {"endpoint": "http://127.0.0.1:9/v1"}]}
    assert set(load(inputs=nowhere).groups) >= {"entry", "gpu", "bake"}


def cli(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> None:
    monkeypatch.setattr(sys.modules[inventory_loader.get("parrotpark").__module__], "CLIARGS", arguments)


def test_the_vault_password_is_made_once_and_given_to_ansible(load: Load, tmp_path: Path) -> None:
    file, first, second = tmp_path / "vault-password", list[Any](), list[Any]()
    load(secrets=first)
    made = file.read_text()
    load(secrets=second)
    assert [secret.bytes for _, secret in first + second] == [made.strip().encode()] * 2
    assert file.read_text() == made


def test_a_vault_password_is_not_made_in_a_check(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(monkeypatch, check=True)
    load()
    assert not (tmp_path / "vault-password").exists()


def test_a_vault_password_that_was_lost_is_not_made_anew(load: Load, tmp_path: Path) -> None:
    """The new one would open nothing, and hide that the old one is gone."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state/secrets.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n")
    secrets: list[Any] = []
    load(secrets=secrets)
    assert not (tmp_path / "vault-password").exists()
    assert secrets == []


def test_a_vault_password_that_ansible_was_given_is_the_one(load: Load, tmp_path: Path) -> None:
    secrets: list[Any] = [("default", VaultSecret(b"mine"))]
    load(secrets=secrets)
    assert [secret.bytes for _, secret in secrets] == [b"mine"]
    assert not (tmp_path / "vault-password").exists()


@pytest.mark.parametrize("name", ["hosts.yml", "parrotpark.json"])
def test_other_files_are_left_to_other_plugins(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert not inventory_loader.get("parrotpark").verify_file(str(tmp_path / name))
