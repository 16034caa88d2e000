"""GPU hosts from a second cloud: it is furnished, baked in and served from where the first one has nothing."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from parrotpark.cloud import Account, Cloud, Server, connect
from parrotpark.control.answers import Messages
from tests.e2e.drills.another_inventory import local_cloud, run, with_cloud
from tests.machines import ended_politely

QUESTION: Messages = [{"role": "user", "content": "What is the capital of France?"}]
FIRST = {"cloud": "gpu", "location": "fsn1", "server_type": "ccx33"}
# Each way of the first cloud to say that it has nothing, how it is brought about, and how that ends.
SCARCE = ["scarce", "--type", "ccx33", "--location", "fsn1"]
LIMIT = ["limit", "--project", "gpu"]
WAYS = {
    "resource_unavailable": ([*SCARCE, "on"], [*SCARCE, "off"]),
    "resource_limit_exceeded": ([*LIMIT, "0"], [*LIMIT, "off"]),
}


@dataclass(frozen=True, slots=True)
class Second:
    """The second cloud, as an inventory names it, and what is to be had there."""

    named: dict[str, str]
    location: str
    server_type: str

    @property
    def offer(self) -> dict[str, str]:
        return {"cloud": self.named["name"], "location": self.location, "server_type": self.server_type}

    def open(self) -> Cloud:
        return connect(Account.of(self.named))


@pytest.fixture(scope="module")
def openstack(request: pytest.FixtureRequest) -> Iterator[Second]:
    """The real OpenStack, whose servers are machines of the local cloud."""
    if not request.config.getoption("--openstack"):
        pytest.skip("takes a real OpenStack: see make openstack")
    with ended_politely([sys.executable, "-m", "tests.openstack.real", "--machines"]) as process:
        assert process.stdout
        said = process.stdout.readline()
        assert "OpenStack runs" in said
        named = {"name": "openstack", "provider": "openstack", "credential_file": said.split()[-1]}
        yield Second(named, "nova", "b2-7")


@pytest.fixture(scope="module")
def scaleway() -> Iterator[Second]:
    """The face of Scaleway's API, whose servers are machines of the local cloud."""
    with ended_politely([sys.executable, "-m", "tests.scaleway_on_machines"]) as process:
        assert process.stdout
        named = json.loads(process.stdout.readline())
        yield Second(named, named["region"], "GP1-XS")


@pytest.fixture(scope="module", params=["scaleway", "openstack"])
def second(request: pytest.FixtureRequest) -> Second:
    """Each of them."""
    second: Second = request.getfixturevalue(request.param)
    return second


@contextmanager
def lacking(way: str) -> Iterator[None]:
    """Let the first cloud have nothing, for this reason."""
    on, off = WAYS[way]
    local_cloud(*on)
    try:
        yield
    finally:
        local_cloud(*off)


@pytest.fixture(scope="module")
def inventory(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, second: Second) -> Iterator[str]:
    """The stack's inventory with the second cloud in it."""
    stack, folder = pytestconfig.getoption("stack"), tmp_path_factory.mktemp("two")
    with with_cloud(stack, folder, second.named, parrotpark_gpu_offers=[FIRST, second.offer]) as inventory:
        yield inventory


def hosts(cloud: Cloud) -> Sequence[Server]:
    return cloud.servers({"parrotpark-role": "gpu"})


def test_it_is_looked_at_before_anything_is_made(inventory: str, second: Second) -> None:
    said = run("make", "check", inventory)
    assert f"{second.named['name']}" in said
    assert not hosts(second.open())


def test_a_wake_bakes_in_both(inventory: str, entry: Host, second: Second) -> None:
    run("make", "sleep", inventory)
    run("make", "site", inventory)
    run("make", "wake", inventory)
    assert len(second.open().images({"parrotpark-role": "gpu-image"})) == 1
    assert "image current" in entry.check_output("parrotpark status")
    assert "none at" not in entry.check_output("parrotpark status")
    assert not hosts(second.open())  # the first cloud serves, as it can


@pytest.mark.parametrize("way", WAYS)
def test_it_serves_from_there_where_the_first_has_nothing(
    inventory: str, entry: Host, second: Second, way: str, says: Callable[[str, Messages], str], generate_model: str
) -> None:
    run("make", "sleep", inventory)
    cloud = second.open()
    assert not hosts(cloud)
    assert not cloud.leftovers()
    with lacking(way):
        run("make", "wake", inventory)
        status = entry.check_output("parrotpark status")
    assert "Paris" in says(generate_model, QUESTION)
    assert [host.status for host in hosts(cloud)] == ["running"]
    assert way in status


def test_it_serves_from_there_and_says_which_credential_of_the_first_is_wrong(
    inventory: str, entry: Host, second: Second, says: Callable[[str, Messages], str], generate_model: str
) -> None:
    run("make", "sleep", inventory)
    credential = "/etc/parrotpark/credentials/gpu"
    entry.check_output("mv %s /root/right && echo wrong >%s", credential, credential)
    try:
        assert f"check the token in {credential}" in entry.check_output("parrotpark wake")
    finally:
        entry.check_output("mv /root/right %s", credential)
    assert "Paris" in says(generate_model, QUESTION)
    assert [host.status for host in hosts(second.open())] == ["running"]
