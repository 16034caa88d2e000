"""An inventory with a box, as Ansible reads it and as preflight judges it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

from parrotpark.control.preflight import defaults_of, options_of
from parrotpark.control.upgrade import CHECKED

ROOT = Path(__file__).parents[3]
SCHEMA = options_of(yaml.safe_load((ROOT / "inventories/inputs.yml").read_text()))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
BOX = {"name": "attic", "slot": "gpu-1", "address": "192.0.2.7", "host_key": KEY}

type Run = Callable[..., dict[str, Any]]


def test_a_box_is_a_host_of_its_group_with_what_reaches_it(tmp_path: Path) -> None:
    home = {"name": "home", "provider": "static", "hosts": [BOX]}
    inputs = {"parrotpark_clouds": [home], "parrotpark_vault_password_file": str(tmp_path / "vault-password")}
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(yaml.safe_dump(inputs))
    (tmp_path / "parrotpark.yml").write_text("plugin: parrotpark\n")
    inventory, loader = InventoryData(), DataLoader()
    loader.set_vault_secrets([])
    inventory_loader.get("parrotpark").parse(inventory, loader, str(tmp_path / "parrotpark.yml"), cache=False)
    inventory.reconcile_inventory()
    attic = inventory.hosts["attic"]
    assert {group.name for group in attic.get_groups()} == {"all", "gpu_static", "cloud_home"}
    variables = attic.get_vars()
    assert variables["ansible_ssh_private_key_file"] == f"{tmp_path}/.state/ssh/id_ed25519"
    assert f"/bin/echo attic {KEY}" in variables["ansible_ssh_common_args"]
    assert variables["parrotpark_box"]["slot"] == "gpu-1"


@pytest.fixture
def judge(run_action: Run, tmp_path: Path) -> Callable[..., list[str]]:
    """What preflight says to the inventory that people copy, edited as they would."""
    owners = yaml.safe_load((ROOT / "inventories/static/group_vars/all.yml").read_text())
    (tmp_path / "token").touch()

    def judge(box: dict[str, Any], credential: str | None = str(tmp_path / "token")) -> list[str]:
        entry, home = ({**cloud} for cloud in owners["parrotpark_clouds"])
        digests = {name: f"image@sha256:{'a' * 64}" for name in owners if name.endswith("_image")}
        people = dict.fromkeys(("parrotpark_acme_email", "parrotpark_admin_email"), "it@parrot.test")
        given = {
            **defaults_of(SCHEMA),
            **owners,
            **digests,
            **people,
            CHECKED: VERSION,
            "parrotpark_domain": "parrot.test",
            "parrotpark_state_dir": str(tmp_path),
            "parrotpark_clouds": [{**entry, "credential_file": credential}, {**home, "hosts": [{**BOX, **box}]}],
        }
        arguments = {
            "schema": str(ROOT / "inventories/inputs.yml"),
            "renamed": str(ROOT / "inventories/renamed.yml"),
            "changelog": str(ROOT / "CHANGELOG.md"),
        }
        result = run_action("parrotpark_preflight", arguments, variables={"ansible_inventory_sources": [], **given})
        return str(result.get("msg", "")).splitlines()

    return judge


def test_the_inventory_to_copy_passes_once_it_is_edited(judge: Callable[..., list[str]]) -> None:
    assert judge({}) == []


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        (
            {"slot": "gpu-2"},
            "parrotpark_clouds: box attic: slot gpu-2 is none of gpu-1, as many as ",
        ),
        ({"host_key": "put-it-here"}, "parrotpark_clouds: box attic: host_key must be the first two words of "),
        ({"address": "attic.example.org"}, "parrotpark_clouds is still the example 'attic.example.org': give your own"),
        ({"colour": "blue"}, "colour"),
        ({"wake_command": {"a": "b"}}, "wake_command"),
        ({"ssh_key_file": "/nonexistent"}, "parrotpark_clouds: hosts: ssh_key_file names /nonexistent, which does not"),
    ],
)
def test_nonsense_is_refused_in_a_line(judge: Callable[..., list[str]], box: dict[str, Any], problem: str) -> None:
    lines = judge(box)
    assert problem in lines[0]
    assert len(lines) <= 2, lines  # a slot that is wrong leaves the right one without a host


def test_a_cloud_that_has_to_be_opened_needs_a_credential(judge: Callable[..., list[str]]) -> None:
    (line,) = judge({}, credential=None)
    assert line == "parrotpark_clouds: entry lacks credential_file, the file with its token"
