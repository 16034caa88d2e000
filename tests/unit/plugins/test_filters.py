"""The filters give what the Python heart works out, and its errors as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from parrotpark.control.secrets.keys import SshAlgorithm


def evaluate(expression: str, **variables: Any) -> Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template("{{ " + expression + " }}"))


def test_slots() -> None:
    assert evaluate("2 | parrotpark_slots('10.78.0.0/24')") == [
        {"name": "gpu-1", "address": "10.78.0.11"},
        {"name": "gpu-2", "address": "10.78.0.12"},
    ]
    assert evaluate("'1' | parrotpark_slots('10.78.0.0/24', first=21)") == [{"name": "gpu-1", "address": "10.78.0.21"}]


def test_a_wish_is_what_the_scheduler_takes_for_one() -> None:
    assert evaluate("' awake  2 ' | parrotpark_wish(3)") == "awake 2"
    with pytest.raises(AnsibleError, match="the wish 'Asleep' is not a valid wish: write asleep, awake or awake N"):
        evaluate("'Asleep' | parrotpark_wish(3)")
    with pytest.raises(AnsibleError, match="the wish is for 4 hosts, but there are 3 slots"):
        evaluate("'awake 4' | parrotpark_wish(3)")


@pytest.mark.parametrize(("tags", "wanted"), [(["all"], True), (["vllm"], False)])
def test_a_run_of_some_tags_makes_no_image(tags: list[str], wanted: bool) -> None:
    assert evaluate("'awake 2' | parrotpark_wants_image(tags, [])", tags=tags) is wanted


def test_the_scheduler_wakes_from_what_there_will_be() -> None:
    found = {"current": False, "newest": "old"}
    expression = "'new' | parrotpark_wakes_from(found, wanted, before_bake)"
    assert evaluate(expression, found=found, wanted=True, before_bake=False) == "new"
    assert evaluate(expression, found=found, wanted=True, before_bake=True) == "old"
    assert evaluate(expression, found={"current": True}, wanted=False, before_bake=True) == "new"


def test_the_front_door() -> None:
    assert evaluate("'ai.example.org' | parrotpark_url('443')") == "https://ai.example.org"
    assert evaluate("'localhost' | parrotpark_addresses('8443')") == ["localhost", "localhost:8443"]
    redirects = [{"addresses": ["127.0.0.1"], "to": "https://localhost"}]
    assert evaluate("'localhost' | parrotpark_redirects('https://localhost')") == redirects
    assert evaluate("'ai.example.org' | parrotpark_redirects('https://ai.example.org')") == []
    assert evaluate("'acme' | parrotpark_publicly_trusted") is True
    assert evaluate("'internal' | parrotpark_own_ca('/srv/caddy')") == "/srv/caddy/pki/authorities/local/root.crt"


def test_slot_peers() -> None:
    keys = {"gpu-1": {"wireguard_public_key": "p"}, "gpu-9": {"wireguard_public_key": "q"}}
    assert evaluate("1 | parrotpark_slots('10.78.0.0/24') | parrotpark_slot_peers(keys)", keys=keys) == [
        {"name": "gpu-1", "public_key": "p", "allowed_ips": ["10.78.0.11/32"]}
    ]


def test_slot_documents() -> None:
    (document,) = evaluate(
        "1 | parrotpark_slots(network) | parrotpark_slot_documents(keys, network=network, listen_port=51820, "
        "peer_public_key='p', peer_endpoint='192.0.2.1:51820', allowed_ips=['10.78.0.1/32'], vllm_api_key='v')",
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


MODELS = [
    {"source": "/models/SmolLM2", "purpose": "chat", "context_length": 2048, "sampling": {"temperature": 0}},
    {"source": "/models/MiniLM", "purpose": "embedding", "context_length": 256},
]


def test_models() -> None:
    assert evaluate("models | parrotpark_first_model('embedding')", models=MODELS) == {
        "name": "minilm",
        "context_length": 256,
    }
    assert evaluate("models | parrotpark_model_folders", models=MODELS) == ["/models/SmolLM2", "/models/MiniLM"]
    assert [model["name"] for model in evaluate("models | parrotpark_vllm_models", models=MODELS)] == [
        "smollm2",
        "minilm",
    ]
    assert evaluate("models | parrotpark_litellm_models('10.78.0.1', 'k')", models=MODELS)[0]["api_key"] == "k"
    (upstream,) = evaluate("models | parrotpark_model_endpoints('10.78.0.1', ['10.78.0.11'])", models=MODELS)[0][
        "upstreams"
    ]
    assert upstream == "10.78.0.11:8001"
    assert evaluate("models | parrotpark_model_open_ports('wg0', 'x')", models=MODELS)[1]["port"] == 8002
    assert evaluate("models | parrotpark_chat_models", models=MODELS) == [
        {"name": "smollm2", "tools": False, "pictures": False}
    ]


CLOUDS: list[dict[str, Any]] = [
    {"name": "entry", "provider": "hetzner", "credential_file": "~/entry.token"},
    {"name": "gpu", "provider": "hetzner", "credential_file": "/gpu.token", "endpoint": "https://gpu", "image": None},
]


def test_clouds_are_chosen_by_their_names_and_written_whole(home: Path) -> None:
    own = {"endpoint": "https://api.hetzner.cloud/v1", "image": "debian-13"}
    entry = {"name": "entry", "provider": "hetzner", "credential_file": f"{home}/entry.token", **own}
    gpu = {**CLOUDS[1], "image": "debian-13"}
    offers = [{"cloud": "gpu"}, {"cloud": "entry"}, {"cloud": "gpu"}]
    chosen = "clouds | parrotpark_clouds(offers | map(attribute='cloud'))"
    assert evaluate(chosen, clouds=CLOUDS, offers=offers) == [entry, gpu]
    assert evaluate(chosen, clouds=CLOUDS, offers=offers[:1]) == [gpu]
    assert evaluate("clouds | parrotpark_clouds(['entry', 'gpu']) | parrotpark_clouds(['gpu'])", clouds=CLOUDS) == [gpu]


def test_what_opens_the_clouds_is_read_by_their_names(home: Path) -> None:
    (home / "entry.token").write_text("one\n")
    (home / "gpu.token").write_text("two")
    clouds = [CLOUDS[0], CLOUDS[1] | {"credential_file": str(home / "gpu.token")}]
    assert evaluate("clouds | parrotpark_credentials", clouds=clouds) == {"entry": "one", "gpu": "two"}
    with pytest.raises(AnsibleError, match=r"the credential file /gpu\.token of cloud gpu does not exist: put the API"):
        evaluate("clouds | parrotpark_credentials", clouds=CLOUDS)


def test_bake_servers_are_named_as_the_module_names_them() -> None:
    assert evaluate("['a', 'b'] | map('parrotpark_bake_name', 'gpu-bake')") == ["gpu-bake-a", "gpu-bake-b"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "[{'name': 'a', 'provider': 'hetzner', 'credential_file': '/f'}] | parrotpark_clouds(['b'])",
            "cloud 'b' is not in parrotpark_clouds, which has: a",
        ),
        ("300 | parrotpark_slots('10.78.0.0/24')", "300 slots from address 11 on do not fit into 10.78.0.0/24"),
        ("['gone'] | parrotpark_fingerprint('/nowhere', {})", "/nowhere/gone shapes a GPU host, but does not exist"),
        ("[] | parrotpark_vllm_models", "no model has the purpose chat: add one"),
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
