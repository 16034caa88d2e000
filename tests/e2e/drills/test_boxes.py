"""A machine that is always there serves in place of servers that are made: it wakes and sleeps, and stays."""

import time
from collections.abc import Callable, Iterator

import openai
import pytest
from testinfra.host import Host

from parrotpark.control.answers import Messages
from tests.e2e.drills.another_inventory import run, with_cloud
from tests.machines import Boot, Machine
from tests.machines import client as client_of

QUESTION: Messages = [{"role": "user", "content": "What is the capital of France?"}]
SERVES = "systemctl is-active parrotpark-models.target"


@pytest.fixture(scope="module")
def box(boot: Boot) -> Machine:
    """The machine, as its owner has it."""
    return boot("box", server_type="ccx33")


@pytest.fixture(scope="module")
def inventory(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, entry: Host, box: Machine
) -> Iterator[str]:
    """The stack's inventory with the box in place of servers."""
    machine = {
        "name": "attic",
        "slot": "gpu-1",
        "address": box.ip,
        "host_key": " ".join((box.keys / "host.pub").read_text().split()[:2]),
        "ssh_key_file": str(box.keys / "client"),
    }
    home = {"name": "home", "provider": "static", "hosts": [machine]}
    offers = [{"cloud": "home", "location": "attic", "server_type": "static"}]
    stack, folder = pytestconfig.getoption("stack"), tmp_path_factory.mktemp("box")
    entry.check_output("parrotpark sleep")
    with with_cloud(stack, folder, home, parrotpark_gpu_offers=offers, parrotpark_gpu_slots=1) as inventory:
        yield inventory


def test_a_wake_provisions_it_and_it_serves(
    inventory: str, box: Machine, says: Callable[[str, Messages], str], generate_model: str
) -> None:
    box.run("echo mine >/root/notes")
    run("make", "site", inventory)
    run("make", "wake", inventory)
    assert "Paris" in says(generate_model, QUESTION)
    assert box.run(SERVES) == "active"
    assert not client_of("gpu").servers.get_all()


def test_it_sleeps_and_wakes_in_seconds(
    entry: Host,
    box: Machine,
    says: Callable[[str, Messages], str],
    generate_model: str,
    record_property: Callable[[str, object], None],
) -> None:
    start = time.monotonic()
    entry.check_output("parrotpark sleep")
    while box.try_run(SERVES).returncode == 0:
        time.sleep(0.5)
    record_property("seconds to sleep", round(time.monotonic() - start, 1))
    with pytest.raises(openai.APIStatusError):
        says(generate_model, QUESTION)
    assert box.run("cat /root/notes") == "mine"

    start = time.monotonic()
    entry.check_output("parrotpark wake")
    assert "Paris" in says(generate_model, QUESTION)
    record_property("seconds to wake", round(time.monotonic() - start, 1))
