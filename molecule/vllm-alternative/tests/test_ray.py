"""A model computes on two hosts: Ray brings its parts there, and nobody else gets in."""

from __future__ import annotations

import json
import socket

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://molecule-vllm-alternative-head"]

UNIT = "vllm@parrot.service"
RAY = "vllm-ray.service"
KEY = "a-key-of-the-model-server"
URL = "http://127.0.0.1:8001"
PORTS = (6379, 6380, 6383)  # of Ray's head, of its node and of its clients


@pytest.fixture(scope="module")
def serving(host: Host) -> None:
    host.check_output("install --mode=0600 /dev/null /etc/vllm/api_key")
    host.check_output("printf %s > /etc/vllm/api_key", KEY)
    host.check_output("systemctl start %s", UNIT)
    health = host.run("curl --silent --fail --retry 80 --retry-all-errors --retry-delay 5 %s", f"{URL}/health")
    assert health.succeeded, host.check_output("journalctl --unit=vllm@* --unit=%s --lines=80 --output=cat", RAY)


def addresses(host: Host) -> tuple[str, str]:
    """Return the address of the head and that of the worker, as the packet filter has them."""
    own = host.interface("eth0").addresses[0]
    return own, host.check_output("sed -n 's/.* ip saddr { \\([0-9.]*\\) } .*/\\1/p' /etc/vllm/network.nft")


@pytest.mark.usefixtures("serving")
def test_answers_the_question(host: Host) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    request = {"model": "parrot", "temperature": 0, "max_tokens": 32, "messages": question}
    command = "curl --silent --fail --max-time 300 --header %s --json %s %s"
    body = host.check_output(command, f"Authorization: Bearer {KEY}", json.dumps(request), f"{URL}/v1/chat/completions")
    assert "Paris" in json.loads(body)["choices"][0]["message"]["content"]


@pytest.mark.usefixtures("serving")
def test_both_hosts_compute(host: Host) -> None:
    _, other = addresses(host)
    assert "pipeline_parallel_size=2" in host.check_output("journalctl --unit=%s --output=cat", UNIT)
    # The part of the model that is here talks with the one there.
    assert "RayWorker" in host.check_output("ss --no-header --tcp --processes state established dst %s", other)


@pytest.mark.usefixtures("serving")
def test_ray_asks_for_the_token(host: Host) -> None:
    own, _ = addresses(host)
    status = "runuser --user=vllm -- env HOME=/tmp RAY_AUTH_MODE=token %s /opt/vllm/bin/ray status --address=%s"
    refused = host.run(status, "RAY_AUTH_TOKEN=another", f"{own}:6379")
    assert refused.failed
    assert "AuthenticationError" in refused.stdout + refused.stderr
    token = host.check_output("cat /etc/vllm_ray_token")
    assert host.check_output(status, f"RAY_AUTH_TOKEN={token}", f"{own}:6379").count("1 node_") == 2


@pytest.mark.usefixtures("serving")
def test_nobody_else_gets_in(host: Host) -> None:
    own, _ = addresses(host)
    asks = host.check_output("ss --no-header --listening --tcp --numeric")
    for port in PORTS:
        assert f":{port} " in asks
        with pytest.raises(TimeoutError):
            socket.create_connection((own, port), timeout=2)


@pytest.mark.usefixtures("serving")
def test_models_connect_to_ray_there_and_to_nothing_else(host: Host) -> None:
    _, other = addresses(host)
    connect = "runuser --user=vllm -- python3 -c 'import socket; socket.create_connection((\"%s\", %d), 5)'"
    assert host.run(connect % (other, 6380)).rc == 0
    for port in (22, 6382, 8001):
        assert "Connection refused" in host.run(connect % (other, port)).stderr, port


@pytest.mark.usefixtures("serving")
def test_no_secret_is_in_a_command_line_or_a_log(host: Host) -> None:
    token = host.check_output("cat /etc/vllm_ray_token")
    said = host.check_output("ps -eo args; journalctl --no-pager --unit=vllm@* --unit=%s", RAY)
    assert KEY not in said
    assert token not in said


@pytest.mark.usefixtures("serving")
def test_ends_at_once_and_well(host: Host) -> None:
    host.check_output("timeout 5 systemctl stop %s", RAY)
    assert host.check_output("systemctl show --property=ActiveState --value %s", RAY) == "inactive"


def test_unit_is_sandboxed(host: Host) -> None:
    host.check_output("systemd-analyze security --threshold=20 %s", RAY)
