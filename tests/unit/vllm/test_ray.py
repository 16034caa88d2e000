"""One model over several hosts: what each of them is told, and what is refused before anything is changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

from parrotpark.control.boxes import RAY_PORTS

ROLE = Path(__file__).parents[3] / "roles/vllm"
HEAD, WORKER = "10.0.0.1", "10.0.0.2"
MODELS = [
    {"name": "large", "port": 8001, "source": {"folder": "/large"}},
    {"name": "small", "port": 8002, "source": {"folder": "/small"}, "runner": "pooling"},
]
RAY: dict[str, Any] = {
    "model": "large",
    "hosts": [HEAD, WORKER, "10.0.0.3"],
    "interface": "lan0",
    "token_file": "/etc/vllm/ray_token",
    "cards": 4,
}
(REFUSALS,) = (
    task["loop"]
    for task in yaml.safe_load((ROLE / "tasks/preflight.yml").read_text())
    if task.get("when") == "vllm_ray is defined"
)


@pytest.fixture(scope="module", autouse=True)
def _lookups() -> None:
    init_plugin_loader()


def evaluate(expression: str, ray: dict[str, Any] | None, **more: Any) -> Any:
    """Evaluate as on a host with these hosts beside it; without any where there is none."""
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(ROLE / "defaults/main.yml"), trusted_as_template=True),
        **loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "ansible_managed": "",
        "ansible_search_path": [str(ROLE)],
        "vllm_api_key_file": "/etc/vllm/api_key",
        "vllm_models": MODELS,
        **({} if ray is None else {"vllm_ray": ray}),
        **more,
    }
    return Templar(loader, variables=variables).template(trust_as_template(expression))


def on(address: str) -> dict[str, Any]:
    return {**RAY, "address": address}


def render(template: str, ray: dict[str, Any] | None, **more: Any) -> str:
    # As Ansible's own module sets Jinja up
    header = "#jinja2: trim_blocks: True\n"
    return str(evaluate(header + (ROLE / "templates" / template).read_text(), ray, **more))


def config(ray: dict[str, Any] | None, number: int, **more: Any) -> Any:
    return yaml.safe_load(render("model.yaml.j2", ray, item={**MODELS[number], **more}))


def options(unit: str) -> dict[str, str]:
    """Return the options that `ray start` is given."""
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", unit, re.MULTILINE)
    assert command
    return dict(re.findall(r"--([\w-]+)(?:=(\S+))?", command[1]))


def test_cards_share_layers_and_hosts_follow_one_another() -> None:
    spanning = config(on(HEAD), 0)
    assert spanning["distributed-executor-backend"] == "ray"
    assert (spanning["tensor-parallel-size"], spanning["pipeline-parallel-size"]) == (4, 3)
    assert config(on(HEAD), 0, config={"tensor-parallel-size": 2})["tensor-parallel-size"] == 2
    assert config(on(HEAD), 1) == config(None, 1)
    assert "distributed-executor-backend" not in config(None, 0)


@pytest.mark.parametrize(
    ("ray", "units", "served", "kept", "secrets"),
    [
        (None, ["vllm@large.service", "vllm@small.service"], 2, 2, ["api_key"]),
        (on(HEAD), ["vllm-ray.service", "vllm@large.service", "vllm@small.service"], 2, 2, ["api_key", "ray_token"]),
        (on(WORKER), ["vllm-ray.service"], 0, 1, ["ray_token"]),
    ],
    ids=["alone", "head", "worker"],
)
def test_one_host_serves(
    ray: dict[str, Any] | None, units: list[str], served: int, kept: int, secrets: list[str]
) -> None:
    assert evaluate("{{ __vllm_units }}", ray) == units
    assert evaluate("{{ __vllm_served }}", ray) == MODELS[:served]
    assert evaluate("{{ __vllm_kept }}", ray) == MODELS[:kept]
    assert [Path(file).name for file in evaluate("{{ __vllm_secrets }}", ray)] == secrets


def test_boxes_open_the_ports_that_it_speaks_through() -> None:
    spoken = [evaluate(f"{{{{ __vllm_{name} }}}}", on(HEAD)) for name in ("ray_ports", "kernel_ports")]
    assert [f"{first}-{last}" for first, last in RAY_PORTS] == spoken


def test_only_those_who_need_it_get_ray() -> None:
    assert evaluate("{{ __vllm_locks }}", None) == ["requirements-cuda.txt"]
    assert evaluate("{{ __vllm_locks }}", on(WORKER)) == ["requirements-cuda.txt", "requirements-ray.txt"]
    assert evaluate("{{ __vllm_installed }}", None) != evaluate("{{ __vllm_installed }}", on(WORKER))


def test_the_locks_fit_together() -> None:
    pins = [dict(re.findall(r"^([\w.-]+)==(\S+)", file.read_text(), re.M)) for file in ROLE.glob("files/*-*.txt")]
    assert len(pins) == 3
    versions: dict[str, set[str]] = {}
    for name, version in (pin for lock in pins for pin in lock.items()):
        versions.setdefault(name, set()).add(version)
    (ray,) = (lock for lock in pins if "ray" in lock)
    assert [name for name in ray if len(versions[name]) > 1] == []


def test_ray_asks_for_its_token_and_shows_nothing() -> None:
    for address in (HEAD, WORKER):
        unit = render("vllm-ray.service.j2", on(address))
        assert "Environment=RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=%d/ray_token" in unit.splitlines()
        assert "ConditionFileNotEmpty=/etc/vllm/ray_token" in unit.splitlines()
        assert options(unit)["node-ip-address"] == address
        assert "disable-usage-stats" in options(unit)
    head, worker = (options(render("vllm-ray.service.j2", on(address))) for address in (HEAD, WORKER))
    assert (head["include-dashboard"], "head" in worker) == ("false", False)
    assert worker["address"] == f"{HEAD}:{head['port']}"


def test_a_model_waits_for_ray_where_it_spans_hosts() -> None:
    lines = render("vllm@.service.j2", on(HEAD)).splitlines()
    # Each unit has a /tmp of its own.
    assert "Environment=VLLM_RPC_BASE_PATH=/run/vllm-ray" in lines
    assert "VLLM_RPC_BASE_PATH=/run/vllm-ray" in render("ray.env.j2", on(HEAD)).splitlines()
    assert {"Requires=vllm-ray.service", "After=vllm-ray.service", "ReadWritePaths=/run/vllm-ray"} <= {*lines}
    assert "ray" not in render("vllm@.service.j2", None)


def numbers(ports: str) -> set[int]:
    spans = [port.partition("-") for port in ports.replace(" ", "").split(",")]
    return {number for first, _, last in spans for number in range(int(first), int(last or first) + 1)}


def test_hosts_reach_one_another_and_nobody_else_reaches_them() -> None:
    rules = render("network.nft.j2", on(WORKER))
    others = "{ 10.0.0.1, 10.0.0.3 }"
    (out,) = re.findall(rf'oifname "lan0" ip daddr {others} tcp dport {{ (.*) }} accept', rules)
    (into,) = re.findall(rf'iifname "lan0" ip saddr {others} tcp dport {{ (.*) }} accept', rules)
    (closed,) = re.findall(r"^ *tcp dport { (.*) } drop\n *}", rules, re.MULTILINE)
    assert out == into
    assert numbers(into) < numbers(closed)
    head = options(render("vllm-ray.service.j2", on(HEAD)))
    environment = dict(re.findall(r"^(\w+)=(.*)$", render("ray.env.j2", on(HEAD)), re.MULTILINE))
    between = {int(head[f"{name}-port"]) for name in ("node-manager", "object-manager", "min-worker", "max-worker")}
    within = {int(head[name]) for name in ("runtime-env-agent-port", "metrics-export-port", "ray-client-server-port")}
    within.add(int(environment["AUTOSCALER_METRIC_PORT"]))
    assert numbers(into) >= {int(head["port"]), *between}
    assert not numbers(into) & within
    assert numbers(closed) >= within


def test_a_host_alone_is_as_closed_as_before() -> None:
    rules = render("network.nft.j2", None)
    assert "hook input" not in rules
    assert 'oifname "lo" tcp dport { 8001, 8002, 32768-60999 } accept\n    reject' in rules


def test_the_key_does_not_travel() -> None:
    text = (ROLE / "tasks/configure.yml").read_text()
    assert 'content: "[\\"VLLM_API_KEY\\"]\\n"' in text
    (directory,) = re.findall(r"VLLM_CONFIG_ROOT=(\S+)", render("vllm@.service.j2", on(HEAD)))
    assert directory == evaluate("{{ __vllm_config_directory }}", None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"model": "none"}, "'none' is none of vllm_models"),
        ({"hosts": [HEAD]}, "hosts must be two addresses at least, each once"),
        ({"hosts": [HEAD, WORKER, WORKER]}, "hosts must be two addresses at least, each once"),
        ({"hosts": [HEAD, "box.example.org"]}, "hosts must be IPv4 addresses"),
        ({"address": "10.0.0.9"}, "the address 10.0.0.9 is none of hosts"),
        ({"cards": 0}, "cards must be 1 or more"),
    ],
)
def test_refuses_hosts_that_cannot_be_one(wrong: dict[str, Any], says: str) -> None:
    ray = {**on(HEAD), **wrong}
    assert [evaluate(refusal["message"], ray) for refusal in REFUSALS if not evaluate(refusal["holds"], ray)] == [says]


def test_refuses_to_warm_and_nothing_that_is_right() -> None:
    assert all(evaluate(refusal["holds"], on(address)) for refusal in REFUSALS for address in RAY["hosts"])
    held = [evaluate(refusal["holds"], on(HEAD), vllm_warm=True) for refusal in REFUSALS]
    assert held.count(False) == 1
