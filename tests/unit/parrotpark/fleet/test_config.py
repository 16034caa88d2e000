"""The configuration is judged as a whole: every problem is named, and no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parrotpark.cloud import Offer
from parrotpark.fleet.config import ConfigError, Model, load

CLOUD = {"name": "gpu", "provider": "hetzner"}
OFFER = {"cloud": "gpu", "location": "fsn1", "server_type": "gpu-l4"}
type Write = Callable[..., Path]


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "topsecret" not in str(caught.value)
    return [problem.removeprefix(f"{path}: ").replace(f"{path.parent}/", "") for problem in caught.value.problems]


def test_what_is_written_is_read(write_config: Write) -> None:
    fleet = load(write_config())
    assert [(slot.name, slot.address) for slot in fleet.slots] == [
        ("gpu-1", "10.78.0.11"),
        ("gpu-2", "10.78.0.12"),
        ("gpu-3", "10.78.0.13"),
    ]
    assert fleet.offers == (Offer("gpu", "fsn1", "gpu-l4"), Offer("gpu", "nbg1", "gpu-l4"))
    (cloud,) = fleet.clouds
    assert (cloud.name, cloud.provider, cloud.endpoint) == ("gpu", "hetzner", "http://127.0.0.1:9/v1")
    assert cloud.credential() == "a-token"
    assert fleet.models == (Model("generate", 8001), Model("embed", 8002))
    assert fleet.ports == (8001, 8002)


def test_what_can_be_left_out_has_a_value(write_config: Write) -> None:
    optional = dict.fromkeys(("ssh_keys", "firewalls", "lease_seconds", "drain_seconds", "ready_seconds", "hosts"), ...)
    fleet = load(write_config(clouds=[{"name": "gpu", "provider": "hetzner"}], **optional))
    assert [cloud.endpoint for cloud in fleet.clouds] == ["https://api.hetzner.cloud/v1"]
    assert (fleet.ssh_keys, fleet.firewalls) == ((), ())
    assert (fleet.lease_seconds, fleet.drain_seconds, fleet.ready_seconds, fleet.hosts) == (900, 60, 900, 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clouds": [CLOUD | {"provider": "moon"}]}, "clouds[0].provider must be one of hetzner"),
        (
            {"clouds": [CLOUD | {"endpoint": "127.0.0.1"}]},
            "clouds[0].endpoint must be a URL, or left out for the provider's own",
        ),
        ({"clouds": [CLOUD | {"region": 1}]}, "clouds[0].region must be a name"),
        ({"clouds": [CLOUD | {"token": "x"}]}, "clouds[0].token is unknown"),
        ({"clouds": [CLOUD, CLOUD]}, "clouds: gpu is named twice"),
        ({"clouds": []}, "clouds must be a list of one or more objects"),
        ({"credentials_dir": "credentials"}, "credentials_dir must be an absolute path"),
        ({"offers": []}, "offers must be a list of one or more objects"),
        ({"offers": [{"cloud": "gpu", "location": "fsn1"}]}, "offers[0].server_type must be a name"),
        ({"offers": [OFFER | {"cloud": "moon"}]}, "offers: cloud 'moon' is not in clouds, which has gpu"),
        ({"offers": [OFFER | {"size": 1}]}, "offers[0].size is unknown"),
        ({"fingerprint": "abc"}, "fingerprint must be 32 hexadecimal digits"),
        ({"maker": "a b"}, "maker must be a label: at most 63 letters, digits, '-', '_' or '.'"),
        ({"lease_seconds": 60}, "lease_seconds must be a whole number from 180 to 86400"),
        ({"drain_seconds": "60"}, "drain_seconds must be a whole number from 0 to 3600"),
        ({"drain_seconds": 301}, "drain_seconds must be at most a third of lease_seconds, 300"),
        ({"models": [{"name": "generate", "port": 0}]}, "models[0].port must be a whole number from 1 to 65535"),
        ({"endpoint_address": "10.78.0.1/24"}, "endpoint_address must be an IP address"),
        ({"endpoint_address": "entry"}, "endpoint_address must be an IP address"),
        ({"hosts": 4}, "hosts is 4, but slots.json has only 3 slots"),
        ({"hsots": 2}, "hsots is unknown"),
        ({"ssh_keys": "parrotpark"}, "ssh_keys must be a list of one or more of: a name"),
    ],
)
def test_what_is_wrong_is_named(write_config: Write, change: dict[str, Any], problem: str) -> None:
    assert problems(write_config(**change)) == [problem]


def test_an_offer_that_is_no_object_is_said(write_config: Write) -> None:
    assert problems(write_config(offers=["fsn1"]))[0] == "offers[0] must be an object"


def test_all_problems_are_named_at_once(write_config: Write) -> None:
    assert len(problems(write_config(clouds=[CLOUD | {"provider": "moon"}], maker="", hosts=0, wish_file=...))) == 4


def test_a_file_that_is_missing_or_no_json_is_said(write_config: Write, tmp_path: Path) -> None:
    assert problems(tmp_path / "nothing.json") == ["nothing.json cannot be read: No such file or directory"]
    path = write_config()
    path.write_text("{topsecret")
    assert problems(path) == ["fleet.json is not JSON"]
    path.write_text("[]")
    assert "the document must be an object" in problems(path)


def test_slot_documents_are_judged_as_the_host_will_judge_them(write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    file = tmp_path / "slots.json"
    documents = json.loads(file.read_text())
    file.write_text(json.dumps([{**documents[0], "hostname": "other"}, documents[1], documents[1], "none"]))
    assert problems(path) == [
        "slots.json[0]: hostname 'other' must be the slot's name 'gpu-1'",
        "slots.json[3]: the document must be an object",
        "slots.json: slot gpu-2 is used twice",
        "slots.json: address 10.78.0.12 is used twice",
    ]
    file.write_text("[]")
    assert problems(path) == ["slots.json must be a list of one or more slot documents"]
    file.unlink()
    assert problems(path) == ["slots.json cannot be read: No such file or directory"]
