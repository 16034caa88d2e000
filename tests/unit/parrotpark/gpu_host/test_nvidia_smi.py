"""What nvidia-smi says is read alike from drivers of seven years, and its failures have names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.gpu_host.nvidia_smi import (
    Card,
    DriverNotRunning,
    NoDevices,
    NvidiaSmiError,
    Unreadable,
    VersionMismatch,
    capabilities,
    failure,
    library_version,
    module_version,
    parse,
)
from tests.nvidia_smi import MACHINES, ecc, gpu, log, mig, old, older_ecc, oldest_ecc, reset, uuid

MIB = 2**20
WELL = {"mig": False, "uncorrectable": 0, "remapping": False, "remapping_failed": False, "recovery": "None"}
JOINED = {"fabric": "Completed", "fabric_status": "Success"}


TOLD: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "eight H100": ("580.105.08", "13.0", 8, {**WELL, **JOINED, "fabric_health": None, "memory": 81559 * MIB}),
    "an H200": ("580.159.04", "13.0", 1, {**WELL, "fabric": None, "memory": 143771 * MIB, "reserved": 616 * MIB}),
    "a B200": ("580.105.08", "13.0", 1, {**WELL, **JOINED, "fabric_health": "Healthy", "persistence": False}),
    "a GB300": ("580.173.02", "13.0", 1, {**WELL, **JOINED, "slot": "00000008:06:00.0", "persistence": True}),
    "an L40S": ("595.91.07", "13.2", 1, {**WELL, "mig": None, "mig_pending": None, "fabric": None}),
    "a T4": ("595.91.07", "13.2", 1, {**WELL, "mig": None, "remapping_failed": None, "worn_out": None}),
    "an A100": ("570.148.08", "12.8", 1, {**WELL, "reserved": 518 * MIB, "fabric_status": None}),
    "an H100 in seven parts": (
        *("550.163.01", "12.4", 1),
        {**WELL, "mig": True, "instances": 7, "recovery": None, "memory": 81920 * MIB, "repair_pending": False},
    ),
    "an A100 in four parts": (
        *("535.54.03", "12.2", 1),
        {"mig": True, "instances": 4, "used": 50 * MIB, "remapping": None, "recovery": None, "uncorrectable": 0},
    ),
    "a Quadro P400": (
        *("418.43", "10.1", 1),
        {"architecture": None, "memory": 1998 * MIB, "reserved": None, "uncorrectable": None, "mig": None},
    ),
    "a Vera Rubin": ("615.23", "13.4", 1, {**WELL, **JOINED, "architecture": "Rubin"}),
    "a Vera Rubin with CUDA 14": ("700.10", "14.0", 1, {**WELL, **JOINED, "used": 0}),
    "a GB200 whose memory fails": (
        *("580.65.06", "13.0", 1),
        {"uncorrectable": 5, "remapping_failed": True, "remapping": False, "worn_out": None, "lost": False},
    ),
    "a GB200 that is lost": (
        *("580.65.06", "13.0", 1),
        {"lost": True, "memory": None, "used": None, "uncorrectable": 0, "fabric": None, "remapping": None},
    ),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_driver_is_understood(machine: str) -> None:
    driver, cuda, number, told = TOLD[machine]
    facts = parse(MACHINES[machine])
    assert (facts.driver, facts.cuda, facts.attached, len(facts.cards)) == (driver, cuda, number, number)
    for card in facts.cards:
        assert {key: getattr(card, key) for key in told} == told


def test_cards_are_told_apart() -> None:
    cards = parse(MACHINES["eight H100"]).cards
    assert len({(card.slot, card.uuid) for card in cards}) == 8
    assert (cards[5].slot, cards[5].uuid) == ("00000000:A8:00.0", uuid("00000000:A8:00.0"))


def card(*elements: str) -> Card:
    slot = "00000000:06:00.0"
    return parse(
        log(old("580.1", "13.0"), 1, gpu(slot, "NVIDIA L4", "Ada", "23034 MiB/500 MiB/1 MiB", *elements))
    ).cards[0]


def test_errors_of_all_kinds_are_added_up() -> None:
    assert card(ecc(parity=2, dram=3)).uncorrectable == 5
    assert card(older_ecc(sram=4)).uncorrectable == 4
    assert card(oldest_ecc(6)).uncorrectable == 6
    assert card().uncorrectable is None


def test_the_need_of_a_reset_is_read_from_older_drivers_too() -> None:
    assert card(reset("Yes")).recovery == "Reset"
    assert card(reset("No", "Yes")).recovery == "Drain and Reset"
    assert card(reset()).recovery is None


def test_a_pending_division_is_told_from_the_present_one() -> None:
    pending = card(mig("Disabled", "Enabled"))
    assert (pending.mig, pending.mig_pending) == (False, True)


def test_the_capability_comes_from_a_table_of_its_own() -> None:
    table = f"{uuid('00000000:06:00.0')}, 8.0\nGPU-11111111-0000-0000-0000-000000000000, 12.0\nGPU-2, [N/A]\n"
    assert parse(MACHINES["an A100"], table).cards[0].capability == (8, 0)
    assert parse(MACHINES["an A100"]).cards[0].capability is None
    assert list(capabilities(table).values()) == [(8, 0), (12, 0)]
    assert capabilities('Field "compute_cap" is not a valid field to query.') == {}


@pytest.mark.parametrize(
    ("status", "output", "kind"),
    [
        (
            18,
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.173",
            VersionMismatch,
        ),
        (
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
            "NVIDIA driver is installed and running.\n",
            DriverNotRunning,
        ),
        (6, "No devices were found\n", NoDevices),
        (255, "Unable to determine the device handle for GPU0: 0000:01:00.0: Unknown Error\n", NvidiaSmiError),
        (127, "", NvidiaSmiError),
    ],
)
def test_failures_have_names_and_advice(status: int, output: str, kind: type[NvidiaSmiError]) -> None:
    error = failure(status, output)
    assert type(error) is kind
    assert "\n" not in str(error)
    assert str(error)
    assert error.advice


@pytest.mark.parametrize(
    "text", ["", "No devices were found", "<nvidia_smi_log/>", "<html><driver_version>1.2</driver_version></html>"]
)
def test_what_is_not_its_xml_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)


@given(st.text())
def test_nothing_but_that_error_comes_of_nonsense(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\nGCC", "550.163.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (a@b)", "580.105.08"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.43  Sun Feb 3", "418.43"),
        ("GCC version: gcc version 14.2.0 (Debian 14.2.0-19)", None),
    ],
)  # fmt: skip
def test_the_loaded_version_is_read(text: str, version: str | None) -> None:
    assert module_version(text) == version


def test_the_version_of_the_libraries_is_read_from_the_complaint() -> None:
    assert library_version("Failed to initialize NVML\nNVML library version: 580.173\n") == "580.173"
    assert library_version("No devices were found") is None
