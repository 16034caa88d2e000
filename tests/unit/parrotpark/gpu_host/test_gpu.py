"""A host whose cards are ill, wrong or slow never serves, and whoever asks hears why."""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.gpu_host import gpu
from tests.nvidia_smi import MACHINES
from tests.programs import load

product: Any = load("roles/gpu_health/files/product.py")

VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (root@host)\n"
FALLEN = "NVRM: Xid (PCI:0000:06:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"
CRASHED = "NVRM: Xid (PCI:0000:06:00): 31, pid=4242, name=python3, MMU Fault\n"
WELL = {"name": "NVIDIA L40S 0", "right": True, "teraflops": 180.0, "least": 43.6}
COMMAND = ("/opt/vllm/bin/python", "product.py")
TABLE = """00000000:06:00.0, NVIDIA L40S, 46068, 609, 12, 41, 87.25
00000000:07:00.0, NVIDIA L40S, 46068, 0, [N/A], 39, [N/A]
"""


class Host:
    """A host whose programs print what a test likes."""

    def __init__(self, folder: Path) -> None:
        self.smi: tuple[int, str] = (0, MACHINES["an L40S"])
        self.log = ""
        self.product: tuple[int, str] = (0, json.dumps([WELL]))
        self.asked: list[str] = []
        self.driver = folder / "version"
        self.driver.write_text(VERSION.format("595.91.07"))
        self.result = folder / "health.json"

    def run(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        assert seconds > 0
        self.asked.append(Path(command[0]).name)
        if command == gpu.SMI:
            return self.smi
        if command == gpu.LOG:
            return 0, self.log
        if command == gpu.GAUGES:
            return 0, TABLE
        return (0, "") if command == gpu.TABLE else self.product

    def check(self) -> int:
        return gpu.check(self.run, COMMAND, 9, self.result, self.driver)

    @property
    def reasons(self) -> list[str]:
        return list(json.loads(self.result.read_text())["reasons"])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_host_that_is_well_may_serve(host: Host) -> None:
    assert host.check() == 0
    assert host.reasons == []
    assert host.result.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"log": FALLEN}, "Xid 79 of 0000:06:00: the card has fallen off the bus: take another host; "),
        ({"smi": (18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.105\n")},
         "the kernel has loaded driver 595.91.07, and the libraries are of 580.105: reboot"),
        ({"smi": (127, "it is not installed")}, "nvidia-smi ended with status 127: it is not installed: "),
        ({"smi": (0, "<html>")}, "nvidia-smi's XML cannot be read: "),
        ({"product": (0, json.dumps([WELL, {**WELL, "right": False}]))}, "NVIDIA L40S 0 multiplies matrices wrongly: "),
        ({"product": (0, json.dumps([{**WELL, "teraflops": 43.5}]))},
         "NVIDIA L40S 0 is too slow: 43.5 TFLOPS, and 43.6 is the least: take another host"),
        ({"product": (0, "[]")}, "PyTorch sees no card: "),
        ({"product": (0, "true")}, "no matrix could be multiplied, status 0: true: "),
        ({"product": (1, "Traceback\nRuntimeError: CUDA error 802\n")},
         "no matrix could be multiplied, status 1: RuntimeError: CUDA error 802: "),
        ({"product": (127, "")}, "no matrix could be multiplied, status 127: it said nothing: "),
    ],
)  # fmt: skip
def test_a_host_that_is_ill_never_serves_and_says_why(
    host: Host, change: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vars(host).update(change)
    assert host.check() == 1
    (told,) = host.reasons
    assert told.startswith(reason)
    assert capsys.readouterr().err == f"this host may not serve: {told}\n"


def test_a_host_without_a_driver_is_ill(host: Host) -> None:
    host.driver.unlink()
    assert host.check() == 1
    assert host.reasons[0].startswith("the kernel has no NVIDIA driver loaded: ")


def test_cards_that_look_ill_multiply_nothing(host: Host) -> None:
    host.log = FALLEN
    host.check()
    assert "python" not in host.asked


def test_a_program_that_failed_is_named_and_not_held_against_the_host(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.log = CRASHED
    assert host.check() == 0
    assert capsys.readouterr().err.startswith("Xid 31 of 0000:06:00: it used an illegal address: restart the model")


def test_a_program_that_is_not_there_or_does_not_end_is_a_failure() -> None:
    assert gpu.run_program(["/nowhere/nvidia-smi"], 1) == (127, "/nowhere/nvidia-smi is not installed")
    assert gpu.run_program([sys.executable, "-c", "import time; time.sleep(9)"], 0.1)[0] == 127
    printed = "import sys; print(1, flush=True); print(2, file=sys.stderr); sys.exit(3)"
    assert gpu.run_program([sys.executable, "-c", printed], 9) == (3, "1\n2\n")


# ---- What is told -----------------------------------------------------------------------------------------------


@pytest.fixture
def get(host: Host) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Asks the host over HTTP; returns status and text."""
    with HTTPServer(("127.0.0.1", 0), gpu.handler(host.run, host.result, host.driver)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def get(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=9) as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        yield get
        server.shutdown()
        thread.join()


def test_health_is_what_the_check_found_and_what_came_since(host: Host, get: Callable[[str], tuple[int, str]]) -> None:
    assert get("/health") == (503, '{"checked": false, "reasons": []}')
    assert "parrotpark_gpu_healthy 0\n" in get("/metrics")[1]
    host.check()
    assert get("/health") == (200, '{"checked": true, "reasons": []}')
    host.log = FALLEN
    status, text = get("/health")
    assert status == 503
    assert json.loads(text)["reasons"][0].startswith("Xid 79")
    host.check()
    assert get("/health") == (503, text)  # once, though both have seen it
    assert get("/")[0] == 404


def test_metrics_leave_out_what_a_card_does_not_tell(host: Host, get: Callable[[str], tuple[int, str]]) -> None:
    host.check()
    status, text = get("/metrics")
    assert status == 200
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    first, second = (f'{{slot="00000000:0{slot}:00.0",name="NVIDIA L40S"}}' for slot in (6, 7))
    assert samples.pop("parrotpark_gpu_healthy") == "1"
    assert samples == {
        f"parrotpark_gpu_memory_total_bytes{first}": "48305799168",
        f"parrotpark_gpu_memory_total_bytes{second}": "48305799168",
        f"parrotpark_gpu_memory_used_bytes{first}": "638582784",
        f"parrotpark_gpu_memory_used_bytes{second}": "0",
        f"parrotpark_gpu_busy_percent{first}": "12",
        f"parrotpark_gpu_temperature_celsius{first}": "41",
        f"parrotpark_gpu_temperature_celsius{second}": "39",
        f"parrotpark_gpu_power_watts{first}": "87.25",
    }
    named = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert named == {"parrotpark_gpu_healthy", *(name.partition("{")[0] for name in samples)}


def test_an_ill_host_says_so_in_its_metrics() -> None:
    assert gpu.metrics("", healthy=False).splitlines()[2:] == ["parrotpark_gpu_healthy 0"]


def test_ansible_hears_of_the_cards_or_why_there_are_none(host: Host) -> None:
    told = json.loads(json.dumps(gpu.facts(host.run)))
    assert told["driver"] == "595.91.07"
    assert [card["name"] for card in told["cards"]] == ["NVIDIA L40S"]
    host.smi = (6, "No devices were found\n")
    assert gpu.facts(host.run) == {"error": "No devices were found"}


# ---- The matrix product -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("multiprocessors", "capability", "teraflops"),
    [(58, (8, 9), 121), (142, (8, 9), 362), (108, (8, 0), 312), (132, (9, 0), 989), (40, (7, 5), 65)],
    ids=["L4", "L40S", "A100", "H100", "T4"],
)
def test_the_least_is_a_small_part_of_what_the_maker_promises(
    multiprocessors: int, capability: tuple[int, int], teraflops: float
) -> None:
    assert 0.1 < product.least(multiprocessors, capability) / teraflops < 0.25


@given(st.integers(1, 8), st.integers(1, 500))
def test_more_multiprocessors_have_to_do_more(generation: int, number: int) -> None:
    assert product.least(number + 1, (generation, 0)) > product.least(number, (generation, 0)) > 0
