"""parrotpark_cloud_project makes the same SSH key and firewall in every cloud, once, and nothing in a check."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hcloud import Client

from tests.cloud_in_memory import PUBLIC_KEY, Served

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]

HTTPS = {"protocol": "tcp", "port": "443", "source_ips": ["0.0.0.0/0"]}
PING = {"protocol": "icmp", "source_ips": ["192.0.2.0/24"]}
MADE = ["SSH key deploy uploaded", "firewall web made"]


@pytest.fixture
def clients(local_cloud: Served, token: str, other_token: str) -> list[Client]:
    return [Client(each, api_endpoint=local_cloud.endpoint) for each in (token, other_token)]


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: Cloud, other: Cloud) -> Run:
    """Runs the module with good arguments, changed as the test likes; None takes one away."""
    module = load_module("parrotpark_cloud_project")

    def run(*, check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "clouds": [gpu, other],
            "ssh_key_name": "deploy",
            "ssh_public_key": PUBLIC_KEY,
            "firewall_name": "web",
            "firewall_rules": [HTTPS, PING],
            **changes,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        return run_module(module, **{name: value for name, value in arguments.items() if value is not None})

    return run


def found(client: Client) -> tuple[list[Any], list[Any]]:
    """What there is: SSH keys, and the rules of firewalls."""
    keys = [(key.name, key.public_key) for key in client.ssh_keys.get_all()]
    walls = [
        (wall.name, [(rule.direction, rule.protocol, rule.port, rule.source_ips) for rule in wall.rules or ()])
        for wall in client.firewalls.get_all()
    ]
    return keys, walls


def test_both_are_made_in_every_cloud_once(run: Run, clients: list[Client]) -> None:
    result = run()
    assert result["changes"] == [f"{cloud}: {change}" for cloud in ("gpu", "other") for change in MADE]
    assert result["changed"] is True
    assert result["diff"] == {"before": "", "after": "".join(f"{change}\n" for change in result["changes"])}
    rules = [("in", "tcp", "443", ["0.0.0.0/0"]), ("in", "icmp", None, ["192.0.2.0/24"])]
    for client in clients:
        assert found(client) == ([("deploy", PUBLIC_KEY)], [("web", rules)])
    again = run(firewall_rules=[PING, HTTPS])  # their order means nothing
    assert (again["changed"], again["changes"], again["diff"]) == (False, [], {"before": "", "after": ""})


def test_a_check_says_the_same_and_makes_nothing(run: Run, clients: list[Client]) -> None:
    would = run(check=True)
    assert [found(client) for client in clients] == [([], []), ([], [])]
    assert would == run()
    before = [found(client) for client in clients]
    assert run(check=True, firewall_rules=[PING])["changes"] == [
        "gpu: rules of firewall web changed",
        "other: rules of firewall web changed",
    ]
    assert [found(client) for client in clients] == before


def test_only_the_cloud_that_differs_is_changed(run: Run, gpu: Cloud, clients: list[Client]) -> None:
    run()
    run(clouds=[gpu], firewall_rules=[PING])
    assert run()["changes"] == ["gpu: rules of firewall web changed"]
    here, there = map(found, clients)
    assert here == there


def test_another_key_takes_the_place_of_that_name(run: Run, clients: list[Client]) -> None:
    other = PUBLIC_KEY.replace("GKJl", "GKJm")
    run(ssh_public_key=other)
    assert run()["changes"] == ["gpu: SSH key deploy replaced", "other: SSH key deploy replaced"]
    assert [found(client)[0] for client in clients] == [[("deploy", PUBLIC_KEY)]] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"firewall_rules": [HTTPS | {"protocol": "gre"}]}, "value of protocol must be one of: tcp, udp, icmp"),
        ({"clouds": None}, "missing required arguments: clouds"),
        ({"firewall_rules": [HTTPS | {"port": "nonsense"}]}, "hetzner: "),
    ],
)
def test_bad_input_is_refused_in_one_line(run: Run, changes: dict[str, Any], message: str) -> None:
    result = run(**changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_a_credential_that_is_missing_is_one_line(run: Run, gpu: Cloud, other: Cloud, clients: list[Client]) -> None:
    result = run(clouds=[gpu, other | {"credential_file": "/no/token"}])
    assert result["msg"].startswith("the credential file /no/token of cloud other does not exist: put the API token")
    assert found(clients[0]) == ([], [])
