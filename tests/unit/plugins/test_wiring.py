"""The wiring gives roles what an input means, however people wrote it down: `-e` makes texts of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from parrotpark.control.preflight import defaults_of, options_of
from parrotpark.control.secrets.catalogue import fill_gaps

ROOT = Path(__file__).parents[3]
SCHEMA = options_of(yaml.safe_load((ROOT / "inventories/inputs.yml").read_text()))
SECRETS = fill_gaps({}, ["gpu-1", "gpu-2", "gpu-3"]).values
SURROUNDINGS = {
    "groups": {},
    "hostvars": {
        "localhost": {
            "golden_image_found": {"current": True},
            "hcloud_server_volume": {"hcloud_volume": {"linux_device": "/dev/x"}},
        }
    },
    "playbook_dir": str(ROOT / "playbooks"),
    "inventory_dir": str(ROOT / "inventories/local"),
    "ansible_run_tags": ["all"],
    "ansible_skip_tags": [],
}


def inputs(home: str) -> dict[str, Any]:
    """The local inputs, with every path below `home`."""
    owners = yaml.safe_load((ROOT / "inventories/local/group_vars/all.yml").read_text())
    given = {**defaults_of(SCHEMA), **owners}
    paths = {name: f"{home}/file" for name, option in SCHEMA.items() if option["type"] == "path"}
    lists = {name: [f"{home}/file"] for name, option in SCHEMA.items() if option.get("elements") == "path"}
    models = [
        {"source": f"{home}/folder", "purpose": purpose, "name": purpose, "context_length": 256}
        for purpose in ("chat", "embedding")
    ]
    image = "chat@sha256:0"
    bucket = {"purpose": "chat", "name": "chat", "access_key_id": "chat", "secret_key_file": f"{home}/file"}
    ours = {"parrotpark_models": models, "parrotpark_open_webui_image": image, "parrotpark_s3_buckets": [bucket]}
    return {**given, **paths, **lists, **ours}


def wired(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every variable of the wiring as a role gets it."""
    loader = DataLoader()
    files = sorted((ROOT / "playbooks/group_vars/all").glob("*.yml"))
    wiring = {
        name: value
        for file in files
        for name, value in loader.load_from_file(str(file), trusted_as_template=True).items()
    }
    templar = Templar(loader, variables={**SURROUNDINGS, **SECRETS, **given, **wiring})
    return {name: templar.template(value) for name, value in wiring.items()}


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}[{index}]")
    elif (type(one), one) != (type(other), other):
        yield f"{place.removeprefix('.')}: {one!r} is not {other!r}"


def test_a_number_may_be_a_text(home: Path) -> None:
    given = inputs(str(home))
    numbers = {name: given[name] for name, option in SCHEMA.items() if option["type"] in ("int", "float")}
    texts = {name: str(value) for name, value in numbers.items()}
    assert len(texts) > 5
    assert list(differences(wired({**given, **numbers}), wired({**given, **texts}))) == []


def test_a_path_may_start_at_home(home: Path) -> None:
    assert list(differences(wired(inputs(str(home))), wired(inputs("~")))) == []


def test_the_cards_of_the_offers_reach_the_models_and_the_fingerprint(home: Path) -> None:
    given = inputs(str(home)) | {"parrotpark_accelerator": "cuda", "parrotpark_gpu_monthly_cap": 1}
    offer = {**given["parrotpark_gpu_offers"][0], "gpu": {"card": "L4", "count": 2}}
    two, one = (
        wired({**given, "parrotpark_gpu_offers": [{**offer, "gpu": {"card": "L4", "count": count}}]})
        for count in (2, 1)
    )
    assert [model["config"].get("tensor-parallel-size") for model in two["vllm_models"]] == [2, None]
    assert two["golden_image_fingerprint"]["whole"] != one["golden_image_fingerprint"]["whole"]
    assert two["scheduler_config"]["offers"] == given["parrotpark_gpu_offers"]


@pytest.mark.parametrize(("computes", "units"), [("cuda", ["parrotpark-gpu-health.service"]), ("cpu", [])])
def test_no_model_starts_before_its_cards_are_checked(home: Path, computes: str, units: list[str]) -> None:
    given = inputs(str(home)) | {"parrotpark_accelerator": computes, "parrotpark_gpu_monthly_cap": 1}
    offer = {**given["parrotpark_gpu_offers"][0], "gpu": {"card": "L4", "count": 1}}
    assert wired({**given, "parrotpark_gpu_offers": [offer]})["vllm_requires"] == units
    assert all((ROOT / f"roles/gpu_health/templates/{unit}.j2").exists() for unit in units)
