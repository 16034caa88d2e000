"""From an inventory with a box to what its roles and the scheduler get: nothing that one of them would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from parrotpark.cloud import Account, Offer
from parrotpark.control.boxes import problems
from parrotpark.control.inventory import boxes
from parrotpark.control.preflight import defaults_of, options_of
from parrotpark.control.secrets.catalogue import fill_gaps
from parrotpark.fleet.config import load

ROOT = Path(__file__).parents[3]
SCHEMA = options_of(yaml.safe_load((ROOT / "inventories/inputs.yml").read_text()))
SECRETS = fill_gaps({}, ["gpu-1", "gpu-2"]).values
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
GPU = {"cloud": "gpu", "location": "fsn1", "server_type": "ccx33"}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """The inventory that people copy, edited as they would, with a cloud beside the box."""
    owners = yaml.safe_load((ROOT / "inventories/static/group_vars/all.yml").read_text())
    values = {**defaults_of(SCHEMA), **owners, "parrotpark_gpu_slots": 2}
    (tmp_path / "token").write_text("a-token")
    made = [
        {"name": name, "provider": "hetzner", "credential_file": str(tmp_path / "token")} for name in ("entry", "gpu")
    ]
    (_, home) = values["parrotpark_clouds"]
    more = {"address": "192.0.2.7", "host_key": KEY, "then": "suspend.target", "wake_command": ["wake", "it"]}
    home["hosts"][0] |= more | {"wake_mac": "02:00:5e:10:00:01"}
    values["parrotpark_gpu_offers"][0] |= {"price": 0.05, "gpu": {"card": "L4"}}
    values["parrotpark_clouds"] = [*made, home]
    values["parrotpark_gpu_offers"].append(GPU)
    (tmp_path / "folder").mkdir()
    for model in values["parrotpark_models"]:
        model["source"] = str(tmp_path / "folder")
        model["name"] = model["purpose"]
    return dict(values)


def wired(given: dict[str, Any], *, of_box: str | None = None) -> dict[str, Any]:
    """Every variable of the wiring, as the entry server's roles or those of a box get it."""
    loader = DataLoader()
    files = [*(ROOT / "playbooks/group_vars/all").glob("*.yml")]
    host: dict[str, object] = {}
    if of_box:
        found = boxes(list(map(Account.of, given["parrotpark_clouds"])), Path("/ssh"), [])
        box = next(box for box in found if box.name == of_box)
        groups = [ROOT / f"playbooks/group_vars/{group}.yml" for group in box.groups]
        files += [file for file in groups if file.exists()]
        host = dict(box.variables)
    surroundings = {
        "groups": {},
        "hostvars": {"localhost": {"golden_image_found": {"current": True}}},
        "playbook_dir": str(ROOT / "playbooks"),
        "inventory_dir": str(ROOT / "inventories/static"),
        "ansible_run_tags": ["all"],
        "ansible_skip_tags": [],
    }
    wiring = {
        name: value
        for file in files
        for name, value in loader.load_from_file(str(file), trusted_as_template=True).items()
    }
    return {**surroundings, **SECRETS, **given, **wiring, **host, "templar": Templar(loader)}


def value(variables: dict[str, Any], name: str) -> Any:
    templar: Templar = variables["templar"]
    templar.available_variables = {key: each for key, each in variables.items() if key != "templar"}
    return templar.template(variables[name])


def test_the_inventory_to_copy_needs_only_what_its_owner_knows(given: dict[str, Any]) -> None:
    clouds, offers = given["parrotpark_clouds"], given["parrotpark_gpu_offers"]
    assert problems(clouds, offers, 2, given["parrotpark_entry_cloud"]) == []
    kept = {name: SCHEMA[name] for name in ("parrotpark_clouds", "parrotpark_gpu_offers", "parrotpark_gpu_slots")}
    assert ArgumentSpecValidator(kept).validate({name: given[name] for name in kept}).error_messages == []


def test_the_roles_of_a_box_get_what_belongs_to_its_slot(given: dict[str, Any]) -> None:
    variables = wired(given, of_box="attic")
    slot = SECRETS["vault_slots"]["gpu-1"]  # type: ignore[index]  # a mapping
    assert {name: value(variables, name) for name in yaml.safe_load(
        (ROOT / "playbooks/group_vars/gpu_static.yml").read_text()
    )} == {
        "base_harden": True,
        "base_open_ports": [
            {"protocol": "tcp", "port": port, "interface": "parrotpark", "sources": ["10.78.0.1/32"]}
            for port in (9400, 8001, 8002)
        ],
        "wireguard_interface": "parrotpark",
        "wireguard_private_key": slot["wireguard_private_key"],
        "wireguard_address": "10.78.0.11/24",
        "wireguard_listen_port": 0,
        "wireguard_peers": [
            {
                "name": "entry-server",
                "public_key": SECRETS["vault_entry_wireguard_public_key"],
                "allowed_ips": ["10.78.0.1/32"],
                "endpoint": "192.0.2.1:51820",
                "keepalive": 25,
            }
        ],
        "deadman_lease_url": "http://10.78.0.1:8000/gpu-1",
        "deadman_unit": "parrotpark-models.target",
        "deadman_then": "suspend.target",
        "nvidia_may_reboot": False,
        "join_vllm_api_key": SECRETS["vault_vllm_api_key"],
    }  # fmt: skip


def test_boxes_that_compute_together_get_what_the_role_asks_for(given: dict[str, Any]) -> None:
    lan = [{"lan_address": f"10.0.0.{number}", "lan_interface": "eno1"} for number in (1, 2)]
    shed = {"name": "shed", "address": "192.0.2.8", "host_key": KEY, **lan[1]}
    given["parrotpark_clouds"][2]["hosts"][0] |= {**lan[0], "helpers": [shed]}
    given["parrotpark_gpu_offers"] = [given["parrotpark_gpu_offers"][0] | {"gpu": {"card": "L4", "count": 2}}]
    spec = yaml.safe_load((ROOT / "roles/vllm/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    for name, address in (("attic", "10.0.0.1"), ("shed", "10.0.0.2")):
        variables = wired(given, of_box=name)
        ray = value(variables, "vllm_ray")
        options = {"vllm_ray": spec["options"]["vllm_ray"]}
        assert ArgumentSpecValidator(options).validate({"vllm_ray": ray}).error_messages == []
        assert (ray["address"], ray["hosts"], ray["model"]) == (address, ["10.0.0.1", "10.0.0.2"], "chat")
        assert ray["cards"] == 2
        opened = {rule.get("last_port", rule["port"]) for rule in value(variables, "base_open_ports")}
        assert opened == {6463, 60999, *((9400, 8001, 8002) if name == "attic" else ())}


def test_nothing_is_made_or_opened_where_machines_are_always_there(given: dict[str, Any]) -> None:
    variables = wired(given)
    for name in ("gpu_clouds", "golden_image_clouds"):
        assert [cloud["name"] for cloud in value(variables, name)] == ["gpu"]
    assert value(variables, "scheduler_credentials") == {"gpu": "a-token"}


def test_the_scheduler_takes_what_it_gets_and_is_told_no_way_into_a_box(given: dict[str, Any], tmp_path: Path) -> None:
    given["parrotpark_accelerator"] = "cpu"  # Hetzner's servers have no cards
    variables = wired(given)
    config = value(variables, "scheduler_config")
    spec = yaml.safe_load((ROOT / "roles/scheduler/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    options = {"scheduler_config": spec["options"]["scheduler_config"]}
    validated = ArgumentSpecValidator(options).validate({"scheduler_config": config})
    assert validated.error_messages == []
    text = json.dumps(config)
    assert not [secret for secret in (KEY, "192.0.2.7", "token") if secret in text]
    slots = tmp_path / "slots.json"
    slots.write_text(json.dumps(value(variables, "scheduler_slots")))
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps({**config, "credentials_dir": "/c", "slots_file": str(slots), "state_dir": "/s"}))
    fleet = load(path)
    assert fleet.offers_for("gpu-1") == (Offer("home", "attic", "static"),)
    assert fleet.offers_for("gpu-2") == (Offer(**GPU),)
    home = next(cloud for cloud in fleet.clouds if cloud.name == "home")
    assert home.registry == "/srv/data/parrotpark/boxes-home.json"
    assert (home.hosts[0].wake_command, home.hosts[0].wake_mac) == (("wake", "it"), "02:00:5e:10:00:01")
    assert fleet.prices == {Offer("home", "attic", "static"): 0.05}


def test_boxes_alone_need_no_other_cloud_for_gpu_hosts(given: dict[str, Any]) -> None:
    given["parrotpark_gpu_offers"].remove(GPU)
    variables = wired(given)
    assert value(variables, "gpu_clouds") == []
    assert value(variables, "scheduler_credentials") == {}
    assert len(value(variables, "golden_image_fingerprint")["whole"]) == 32
