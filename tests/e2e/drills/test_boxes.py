"""A machine that is always there serves in place of servers that are made: it wakes and sleeps, and stays."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from testinfra.host import Host

from parrotpark.control.answers import Messages
from tests.machines import Boot, Machine
from tests.machines import client as client_of

ROOT = Path(__file__).parents[3]
QUESTION: Messages = [{"role": "user", "content": "What is the capital of France?"}]
SERVES = "systemctl is-active parrotpark-models.target"


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def box(boot: Boot) -> Machine:
    """The machine, as its owner has it."""
    return boot("box", server_type="ccx33")


@pytest.fixture(scope="module")
def inventory(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, entry: Host, box: Machine
) -> Iterator[str]:
    """The stack's inventory with the box in place of servers; in the end, the stack is as it was."""
    stack = pytestconfig.getoption("stack")
    copy = tmp_path_factory.mktemp("inventory") / "box"
    shutil.copytree(stack, copy)
    file = copy / "group_vars/all.yml"
    values: dict[str, Any] = yaml.safe_load(file.read_text())
    machine = {
        "name": "attic",
        "slot": "gpu-1",
        "address": box.ip,
        "host_key": " ".join((box.keys / "host.pub").read_text().split()[:2]),
        "ssh_key_file": str(box.keys / "client"),
    }
    values["parrotpark_clouds"].append({"name": "home", "provider": "static", "hosts": [machine]})
    values["parrotpark_gpu_offers"] = [{"cloud": "home", "location": "attic", "server_type": "static"}]
    values["parrotpark_gpu_slots"] = 1
    file.write_text(yaml.safe_dump(values))
    entry.check_output("parrotpark sleep")
    yield f"INVENTORY={copy}"
    run("make", "sleep", f"INVENTORY={copy}")
    run("make", "site", f"INVENTORY={stack}")


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
