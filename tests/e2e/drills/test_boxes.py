"""A machine that is always there serves in place of servers that are made: it wakes and sleeps, and stays."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from testinfra.host import Host

from localcloud.demo.stand_ins import ray_on_cpu
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


def as_written(name: str, machine: Machine) -> dict[str, Any]:
    """Say of a machine what every inventory says."""
    return {
        "name": name,
        "address": machine.ip,
        "host_key": " ".join((machine.keys / "host.pub").read_text().split()[:2]),
        "ssh_key_file": str(machine.keys / "client"),
        "lan_address": machine.ip,
        "lan_interface": "eth0",
    }


@pytest.fixture(scope="module")
def inventory(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, entry: Host, box: Machine
) -> Iterator[str]:
    """The stack's inventory with the box in place of servers."""
    home = {"name": "home", "provider": "static", "hosts": [as_written("attic", box) | {"slot": "gpu-1"}]}
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


def test_with_a_helper_both_compute_and_both_rest(
    inventory: str,
    box: Machine,
    boot: Boot,
    entry: Host,
    says: Callable[[str, Messages], str],
    generate_model: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    helper = boot("helper", server_type="ccx33")
    file = Path(inventory.removeprefix("INVENTORY=")) / "group_vars/all.yml"
    values: dict[str, Any] = yaml.safe_load(file.read_text())
    values["parrotpark_clouds"][-1]["hosts"][0]["helpers"] = [as_written("shed", helper)]
    values["parrotpark_vllm_extra_wheels"].append(str(ray_on_cpu.build(tmp_path)))
    # The second of two stages needs the run on empty input that is left out where this is set.
    values["parrotpark_models"][0]["engine"]["enforce-eager"] = False
    file.write_text(yaml.safe_dump(values))
    run("make", "wake", inventory)
    assert "Paris" in says(generate_model, QUESTION)
    speaking = f"ss --no-header --tcp --processes state established dst {helper.ip}"
    assert "RayWorker" in box.run(speaking)

    entry.check_output("parrotpark sleep")
    while "RayWorker" in helper.run("ps -eo args"):
        time.sleep(1)
    assert box.run("systemctl --failed --no-legend") == ""
    start = time.monotonic()
    entry.check_output("parrotpark wake")
    assert "Paris" in says(generate_model, QUESTION)
    record_property("seconds to wake both", round(time.monotonic() - start, 1))
    assert "RayWorker" in box.run(speaking)
