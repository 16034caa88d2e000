"""What a device asks of the units and of their environment; and what has to have started before any of them."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.unit.vllm.test_ray import HEAD, MODELS, WORKER, on, render

UNITS = ["vllm@.service.j2", "vllm-ray.service.j2"]
REACHES = {"cuda": ["DevicePolicy=closed", "DeviceAllow=char-nvidia* rw"], "cpu": ["PrivateDevices=true"]}


def section(unit: str, name: str) -> list[str]:
    """Return the settings of a section: systemd ignores what stands in another one."""
    (lines,) = re.findall(rf"^\[{name}]\n((?:(?!\[).*\n)*)", unit, re.MULTILINE)
    return [line for line in lines.splitlines() if not line.startswith("#")]


def environment(template: str, device: str, ray: dict[str, Any] | None = None, **more: Any) -> dict[str, str]:
    """Return the variables of a file of systemd's."""
    text = render(template, ray, vllm_device=device, item={**MODELS[0], **more})
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("device", REACHES)
def test_a_unit_reaches_its_cards_and_no_other_device(unit: str, device: str) -> None:
    settings = section(render(unit, on(HEAD), vllm_device=device), "Service")
    assert [line for line in settings if re.match("(Private)?Device", line)] == REACHES[device]


def test_what_is_compiled_for_a_card_outlasts_the_service_and_takes_no_nvcc() -> None:
    variables = environment("model.env.j2", "cuda")
    settings = section(render("vllm@.service.j2", None, vllm_device="cuda"), "Service")
    (home,) = (line.removeprefix("ReadWritePaths=") for line in settings if line.startswith("ReadWritePaths="))
    assert variables["TORCHINDUCTOR_CACHE_DIR"] == f"{home}/inductor"
    assert variables["WATCH_TURN"] == f"{home}/turn"  # every model's server may write it
    assert variables["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


def test_processes_on_cards_speak_over_the_host_itself_or_the_network_of_the_hosts() -> None:
    names = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
    alone = environment("model.env.j2", "cuda")
    together = environment("ray.env.j2", "cuda", on(WORKER))
    assert {alone[name] for name in names} == {"lo"}
    assert {together[name] for name in names} == {"lan0"}
    assert alone.keys() <= together.keys()


def test_processors_have_no_variables_of_cards() -> None:
    cards, processors = (environment("model.env.j2", device) for device in ("cuda", "cpu"))
    assert processors == {
        "OMP_WAIT_POLICY": "passive",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "TORCHDYNAMO_DISABLE": "1",
    }
    assert not cards.keys() & processors.keys()


def test_a_models_own_variables_win() -> None:
    own = {"NCCL_SOCKET_IFNAME": "eth1", "MINE": "two words"}
    assert environment("model.env.j2", "cuda", environment=own) == {**environment("model.env.j2", "cuda"), **own}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_waits_for_what_it_requires(unit: str) -> None:
    asked = ("Requires=", "After=")
    alone, waiting = (
        [line for line in section(render(unit, on(HEAD), vllm_requires=units), "Unit") if line.startswith(asked)]
        for units in ([], ["a.service", "b.service"])
    )
    assert sorted(waiting) == sorted([*alone, *(f"{word}{name}.service" for word in asked for name in "ab")])
    assert not [line for line in alone if re.search(r"=[ab]\.service", line)]
