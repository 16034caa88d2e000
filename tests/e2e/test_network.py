"""What a stranger reaches: three ports of the entry server, and none of a GPU host.

WireGuard answers only its peers, so a scan of UDP tells nothing; that it works is proved by every chat.
"""

import json
import subprocess
from collections.abc import Callable

import pytest
from testinfra.backend.ansible import AnsibleBackend
from testinfra.host import Host

from tests.machines import Machine, client

ENTRY_PORTS = {22, 80, 443}
LEASE_PORT = 8000


def listening(host: Host) -> set[int]:
    """Name every TCP port that anything on the host listens on: only these could answer."""
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in host.check_output("ss -Hltn").splitlines()}


def address_of(host: Host) -> str:
    assert isinstance(host.backend, AnsibleBackend)
    return str(host.backend.get_variables()["ansible_host"])


type Run = Callable[[str], str]  # a command, and what it prints


def on_controller(command: str) -> str:
    return subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True).stdout


@pytest.fixture(params=["controller", "stranger"])
def outside(request: pytest.FixtureRequest) -> Run:
    """The controller, and somebody else's machine on the same network."""
    if request.param == "controller":
        return on_controller
    stranger: Machine = request.getfixturevalue("stranger")
    return stranger.run


def reached(run: Run, address: str, ports: set[int]) -> set[int]:
    """Tell which ports answer; all are tried at once, as one that a filter drops is waited for."""
    knock = f"(timeout 2 bash -c '</dev/tcp/{address}/'$port 2>/dev/null && echo $port) &"
    return {int(port) for port in run(f"for port in {' '.join(map(str, ports))}; do {knock} done; wait").split()}


def test_entry_server(entry: Host, outside: Run) -> None:
    ports, address = listening(entry), address_of(entry)
    assert ports >= {5432, 4000, 8080, 8001}
    assert reached(outside, address, ports) == ENTRY_PORTS


def test_gpu_host(entry: Host, gpu: Host, outside: Run) -> None:
    ports, address = listening(gpu), address_of(gpu)
    assert ports >= {22, 8001, 8002}
    assert reached(outside, address, ports) == set()
    # The way Ansible takes is open; the models are asked through the tunnel alone.
    assert reached(entry.check_output, address, ports) == {22}


def test_a_gpu_host_reaches_what_strangers_do_and_its_lease(entry: Host, gpu: Host) -> None:
    (own,) = json.loads(entry.check_output("ip -4 -json address show wg0"))
    ports, overlay = listening(entry), own["addr_info"][0]["local"]
    assert reached(gpu.check_output, address_of(entry), ports) == ENTRY_PORTS
    assert reached(gpu.check_output, overlay, ports) == ENTRY_PORTS | {LEASE_PORT}


@pytest.mark.parametrize(
    ("project", "server", "open_ports"),
    [
        ("entry", "entry-server", {("icmp", None), ("udp", "51820"), *(("tcp", str(port)) for port in ENTRY_PORTS)}),
        ("gpu", "gpu-1", {("udp", "51820"), ("tcp", "22")}),
    ],
)
def test_the_cloud_filters_before_the_host_does(project: str, server: str, open_ports: set[tuple[str, str]]) -> None:
    found = client(project).servers.get_by_name(server)
    assert found
    assert found.public_net
    (applied,) = found.public_net.firewalls or []
    applied.firewall.reload()
    assert applied.status == "applied"
    assert {(rule.protocol, rule.port) for rule in applied.firewall.rules or []} == open_ports


def test_a_compromised_chat_reaches_the_gateway_and_not_its_database_client(entry: Host) -> None:
    connect = "podman exec open-webui python3 -c %s"
    program = "import socket; socket.create_connection(('127.0.0.1', {}), 5)"
    engines = {port for port in listening(entry) if 4000 < port < 4010}
    assert engines
    assert entry.run(connect, program.format(4000)).rc == 0
    for port in engines:
        assert "refused" in entry.run(connect, program.format(port)).stderr


def test_gateway_and_models_reach_nothing_but_what_is_declared(entry: Host, gpu: Host) -> None:
    connect = "runuser --user=%s -- python3 -c %s"
    for host, user in ((entry, "litellm"), (gpu, "vllm")):
        for address, port in ((address_of(host), 22), ("192.0.2.1", 443)):
            program = f"import socket; socket.create_connection(({address!r}, {port}), 5)"
            assert "refused" in host.run(connect, user, program).stderr
