"""The filters give what the Python heart works out, and its errors as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from parrotpark.secrets.keys import SshAlgorithm


def evaluate(expression: str, **variables: Any) -> Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template("{{ " + expression + " }}"))


def test_slots() -> None:
    assert evaluate("2 | parrotpark_slots('10.78.0.0/24')") == [
        {"name": "gpu-1", "address": "10.78.0.11"},
        {"name": "gpu-2", "address": "10.78.0.12"},
    ]
    assert evaluate("'1' | parrotpark_slots('10.78.0.0/24', first=21)") == [{"name": "gpu-1", "address": "10.78.0.21"}]


def test_slot_peers() -> None:
    keys = {"gpu-1": {"wireguard_public_key": "p"}, "gpu-9": {"wireguard_public_key": "q"}}
    assert evaluate("1 | parrotpark_slots('10.78.0.0/24') | parrotpark_slot_peers(keys)", keys=keys) == [
        {"name": "gpu-1", "public_key": "p", "allowed_ips": ["10.78.0.11/32"]}
    ]


def test_slot_documents() -> None:
    (document,) = evaluate(
        "1 | parrotpark_slots(network) | parrotpark_slot_documents(keys, network=network, peer_public_key='p', "
        "peer_endpoint='192.0.2.1:51820', allowed_ips=['10.78.0.1/32'], vllm_api_key='v')",
        network="10.78.0.0/24",
        keys={"gpu-1": {"wireguard_private_key": "k", "ssh_host_private_key": "s"}, "gpu-9": {}},
    )
    assert document["wireguard"]["address"] == "10.78.0.11/24"
    assert document["wireguard"]["private_key"] == "k"
    assert document["ssh_host_ed25519_key"] == "s"


def test_fingerprint_sees_templated_values(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expression = "['file'] | parrotpark_fingerprint(root, {'models': models})"
    plain = evaluate(expression, root=str(tmp_path), models=[{"name": "a"}])
    templated = evaluate(expression, root=str(tmp_path), models=[{"name": trust_as_template("{{ 'a' }}")}])
    assert plain == templated
    assert len(plain["whole"]) == 32
    assert plain["parts"].keys() == {"file", "models"}


def test_models() -> None:
    assert evaluate("'/models/SmolLM2' | parrotpark_model_name") == "smollm2"
    assert evaluate("('a/b@' ~ 'c' * 40) | parrotpark_model_source") == {"hub": "a/b", "revision": "c" * 40}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("300 | parrotpark_slots('10.78.0.0/24')", "300 slots from address 11 on do not fit into 10.78.0.0/24"),
        ("['gone'] | parrotpark_fingerprint('/nowhere', {})", "/nowhere/gone shapes a GPU host, but does not exist"),
        ("'b' | parrotpark_model_name", "'b' is no model: write /a/folder or organisation/name@revision"),
    ],
)
def test_errors_are_one_line(expression: str, message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        evaluate(expression)


def test_cloud_config_hands_over_the_host_key() -> None:
    private = SshAlgorithm().private()
    first, _, rest = evaluate("key | parrotpark_cloud_config", key=private).partition("\n")
    assert first == "#cloud-config"
    config = json.loads(rest)
    assert config["ssh_keys"] == {"ed25519_private": private, "ed25519_public": SshAlgorithm().public(private)}
    assert config["ssh_pwauth"] is False
