"""A new GPU host is told who it is, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from parrotpark.fleet import boot
from parrotpark.fleet.config import ConfigError
from parrotpark.gpu_host.join import load

if TYPE_CHECKING:
    from parrotpark.fleet.config import Fleet
    from tests.unit.parrotpark.fleet.conftest import Project

NOW = 1_800_000_000


def cloud_config(text: str) -> dict[str, Any]:
    first, _, rest = text.partition("\n")
    assert first == "#cloud-config"
    config: dict[str, Any] = json.loads(rest)
    return config


def test_the_slot_document_is_one_that_the_host_accepts(fleet: Fleet) -> None:
    config = cloud_config(boot.user_data(fleet.slots[1], NOW + 900))
    (file,) = config["write_files"]
    assert (file["path"], file["permissions"]) == ("/etc/parrotpark/slot.json", "0600")
    document = load(file["content"], now=NOW)
    assert (document.name, document.lease_until) == ("gpu-2", NOW + 900)


def test_the_ssh_host_key_is_the_slots_own_and_no_other_is_made(fleet: Fleet) -> None:
    config = cloud_config(boot.user_data(fleet.slots[0], NOW))
    assert config["ssh_keys"]["ed25519_private"] == fleet.slots[0].ssh_host_key
    assert config["ssh_keys"]["ed25519_public"].startswith("ssh-ed25519 ")
    assert (config["ssh_pwauth"], config["ssh_deletekeys"], config["ssh_genkeytypes"]) == (False, True, [])


def test_what_is_too_long_for_a_cloud_is_refused(fleet: Fleet) -> None:
    slot = replace(fleet.slots[0], vllm_api_key="x" * 32768)
    with pytest.raises(ConfigError, match=r"user_data of gpu-1 has \d+ bytes, but a cloud takes only 32768"):
        boot.user_data(slot, NOW)


def test_the_server_is_the_same_in_every_place(fleet: Fleet, project: Project) -> None:
    image = project.save()
    here, there = boot.specs(fleet, fleet.slots[0], [image], fleet.offers, NOW)
    assert replace(here, offer=there.offer) == there
    assert [here.offer, there.offer] == list(fleet.offers)
    assert (here.name, here.image, here.firewalls, here.ssh_keys) == (
        "gpu-1",
        "8",
        ("parrotpark-gpu",),
        ("parrotpark",),
    )
    assert here.labels == {
        "parrotpark-role": "gpu",
        "parrotpark-slot": "gpu-1",
        "parrotpark-state": "waking",
        "parrotpark-maker": "entry-server",
        "parrotpark-fingerprint": "a" * 32,
        "parrotpark-until": str(NOW + 900),
    }


def test_a_server_is_made_from_the_image_of_its_own_cloud(fleet: Fleet, project: Project) -> None:
    image = project.save()
    images = [replace(image, id="5", cloud="other"), image]
    offers = [*fleet.offers, replace(fleet.offers[0], cloud="other")]
    specs = boot.specs(fleet, fleet.slots[0], images, offers, NOW)
    assert [(spec.offer, spec.image) for spec in specs] == list(zip(offers, [image.id, image.id, "5"], strict=True))


def test_secrets_are_not_shown(fleet: Fleet) -> None:
    assert "topsecret" not in repr(fleet)
