"""A host whose cards are ill never serves, and says why; what a program did is not held against it."""

from __future__ import annotations

import pytest

from parrotpark.gpu_host.health import Health, examine, same_version
from parrotpark.gpu_host.nvidia_smi import NvidiaSmiError, failure, parse
from parrotpark.gpu_host.xid import Blame
from parrotpark.gpu_host.xid import parse as xids
from tests.nvidia_smi import MACHINES, banks, ecc, fabric, gpu, log, mig, old, pages, recovery, reset, rows

DRIVER = "580.105.08"
XID = "Nov 26 20:53:14 gpu-1 kernel: NVRM: Xid (PCI:0000:06:00): {}, pid=4242, name=python3, {}"


def examined(*elements: str, kernel_log: str = "", attached: int = 1) -> Health:
    one = gpu("00000000:06:00.0", "NVIDIA L40S", "Ada Lovelace", "46068 MiB/609 MiB/0 MiB", *elements)
    return examine(parse(log(old(DRIVER, "13.0"), attached, one)), kernel_log, DRIVER, DRIVER)


def told(health: Health) -> list[str]:
    assert all("\n" not in str(reason) and reason.advice for reason in (*health.reasons, *health.notes))
    return [reason.problem.removeprefix("NVIDIA L40S at 00000000:06:00.0 ") for reason in health.reasons]


@pytest.mark.parametrize("machine", sorted(MACHINES.keys() - {"a GB200 whose memory fails", "a GB200 that is lost"}))
def test_machines_that_are_well_are_healthy(machine: str) -> None:
    facts = parse(MACHINES[machine])
    assert examine(facts, "", facts.driver, facts.driver) == Health((), ())


@pytest.mark.parametrize(
    ("elements", "problem"),
    [
        ([recovery("Reboot")], "needs recovery, by its driver: Reboot"),
        ([recovery("Drain P2P")], "needs recovery, by its driver: Drain P2P"),
        ([reset("Yes")], "needs recovery, by its driver: Reset"),
        ([ecc(dram=1)], "has had 1 ECC errors that nothing corrected"),
        ([ecc(exceeded="Yes")], "has had more errors of on-chip memory than NVIDIA allows"),
        ([ecc(tpc="Yes")], "is repaired at its next reset"),
        ([rows(pending="Yes")], "has bad memory, which is replaced at its next reset"),
        ([banks("Yes")], "has bad memory, which is replaced at its next reset"),
        ([pages("Yes")], "has bad memory, which is replaced at its next reset"),
        ([rows(failure="Yes")], "has no spare memory left for what is bad"),
        ([mig("Disabled", "Enabled")], "has MIG off, and on after its next reset"),
        ([mig("Enabled", "Disabled", 2)], "has MIG on, and off after its next reset"),
        ([mig("Enabled")], "has MIG on and no instance, so nothing can use it"),
        ([fabric("In Progress")], "has not joined its NVSwitch fabric: In Progress"),
        ([fabric("Completed", "Invalid State")], "failed to join its NVSwitch fabric: Invalid State"),
        ([fabric("Completed", "Success", "Unhealthy")], "has an NVSwitch fabric that is not well: Unhealthy"),
        ([ecc(dram="GPU is lost"), recovery("Reboot")], "is lost"),
    ],
)
def test_each_illness_has_its_line(elements: list[str], problem: str) -> None:
    health = examined(*elements)
    assert told(health) == [problem]
    assert not health.healthy


def test_several_are_told_at_once() -> None:
    assert len(told(examined(ecc(dram=3), rows("Yes", "Yes"), recovery("Reboot"), kernel_log=XID.format(48, "")))) == 5


def test_a_card_that_the_driver_counts_and_does_not_tell_of_is_missed() -> None:
    assert told(examined(attached=2)) == ["the driver counts 2 cards, and tells of 1"]
    nothing = parse(log(old(DRIVER, "13.0"), 0))
    assert told(examine(nothing, "", DRIVER, DRIVER)) == ["the driver counts 0 cards, and tells of 0"]


def test_advice_fits_the_illness() -> None:
    assert "nvidia-fabricmanager of exactly the driver's version" in examined(fabric("In Progress")).reasons[0].advice
    assert "another host" in examined(rows(failure="Yes")).reasons[0].advice
    assert examined(rows("Yes")).reasons[0].advice == "reset the card or reboot"


# ---- The driver -------------------------------------------------------------------------------------------------

MISMATCH = failure(18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.173")
NO_DRIVER = failure(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that")


@pytest.mark.parametrize(
    ("error", "module", "library", "problem", "advice"),
    [
        (MISMATCH, DRIVER, "580.173", f"the kernel has loaded driver {DRIVER}, and the libraries", "reboot"),
        (MISMATCH, DRIVER, None, "Failed to initialize NVML: Driver/library version mismatch", "reboot"),
        (NO_DRIVER, None, "580.173", "the kernel has no NVIDIA driver loaded", "dkms"),
        (failure(6, "No devices were found"), DRIVER, DRIVER, "No devices were found", "another host"),
        (failure(1, ""), DRIVER, DRIVER, "nvidia-smi ended with status 1: it said nothing", "journalctl"),
    ],
)  # fmt: skip
def test_a_driver_that_does_not_answer_is_one_line(
    error: NvidiaSmiError, module: str | None, library: str | None, problem: str, advice: str
) -> None:
    (reason,) = examine(error, "", module, library).reasons
    assert reason.problem.startswith(problem)
    assert advice in reason.advice


def test_libraries_that_leave_out_the_last_part_of_a_version_match() -> None:
    assert same_version("580.173.02", "580.173")
    assert same_version("580.173", "580.173.02")
    assert not same_version("580.173.02", "580.105")
    assert not same_version("580.173.02", "580.173.03")


def test_libraries_of_another_version_are_noticed_though_the_cards_answer() -> None:
    facts = parse(MACHINES["an L40S"])
    assert not examine(facts, "", "595.91.07", "580.173").healthy
    assert examine(facts, "", "595.91.07", None).healthy


# ---- Xids -------------------------------------------------------------------------------------------------------


# NVIDIA's catalogue, https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html: what to do at once.
CATALOGUE = {
    "CHECK_MECHANICALS": [54],
    "IGNORE": [14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161],
    "RESET_GPU": [46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158],
    "RESTART_APP": [
        *(8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94),
        *(*range(96, 106), *range(126, 136), 139),
    ],
    "RESTART_BM": [79],
    "RESTART_VM": [151],
    "WORKFLOW_NVLINK5_ERR": [144, 145, 146, 147, 148, 149, 150],
    "WORKFLOW_NVLINK_ERR": [74],
    "WORKFLOW_XID_45": [45],
    "WORKFLOW_XID_48": [48],
}
OF_PROGRAMS = {"RESTART_APP", "WORKFLOW_XID_45"}


def actual(code: int) -> Blame:
    health = examined(kernel_log=XID.format(code, "whatever"))
    for blame, lines in ((Blame.HOST, health.reasons), (Blame.PROGRAM, health.notes)):
        if lines:
            assert [line.problem.split(": ")[0] for line in lines] == [f"Xid {code} of 0000:06:00"]
            return blame
    return Blame.NOBODY


def expected(code: int, action: str) -> Blame:
    exceptions = {
        43: Blame.PROGRAM,  # the card is left alone, but by the catalogue's words it is an error of an application
        94: Blame.HOST,  # memory has failed
    }
    by_action = Blame.PROGRAM if action in OF_PROGRAMS else Blame.NOBODY if action == "IGNORE" else Blame.HOST
    return exceptions.get(code, by_action)


def test_blame_follows_the_catalogue() -> None:
    listed = {code: expected(code, action) for action, codes in CATALOGUE.items() for code in codes}
    assert {code: actual(code) for code in range(1, 200)} == {
        code: listed.get(code, Blame.HOST if code == 154 else Blame.NOBODY) for code in range(1, 200)
    }


def test_a_program_is_to_be_restarted_and_the_host_is_not_to_blame() -> None:
    health = examined(kernel_log=XID.format(31, "Ch 00000008, intr 00000000"))
    assert health.healthy
    assert [str(note) for note in health.notes] == [
        "Xid 31 of 0000:06:00: it used an illegal address: restart the model; if it comes back, report it with the "
        "model's journal"
    ]


def test_the_action_that_the_driver_asks_for_counts_unless_it_is_none() -> None:
    to_reboot = "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
    back = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
    assert told(examined(kernel_log=XID.format(154, to_reboot))) == [
        "Xid 154 of 0000:06:00: the driver asks for: Node Reboot Required"
    ]
    assert examined(kernel_log=XID.format(154, back)).healthy
    assert not examined(kernel_log=XID.format(154, "in words that are new")).healthy


def test_the_same_again_is_counted() -> None:
    kernel_log = "\n".join([XID.format(31, "a"), XID.format(79, "b"), "unrelated", XID.format(31, "c")])
    health = examined(kernel_log=kernel_log)
    assert [note.problem.split(":")[0] for note in health.notes] == ["Xid 31 of 0000"]
    assert ", 2 times: " in health.notes[0].problem
    assert " times" not in health.reasons[0].problem


@pytest.mark.parametrize(
    ("line", "slot", "code"),
    [
        ("[ 1399.140323] NVRM: Xid (PCI:0000:01:00): 32, Channel ID 00000009 intr 00800000", "0000:01:00", 32),
        ("NVRM: Xid (0000:03:00): 14, Channel 00000001", "0000:03:00", 14),
        ("NVRM: Xid (PCI:0008:01:00): 79, pid='<unknown>', GPU has fallen off the bus.", "0008:01:00", 79),
        ("NVRM: Xid (PCI:0000:5B:00 GPU-I:05): 31, pid=7, name=vllm, Ch 00000008", "0000:5B:00", 31),
        ("NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for remapping", "0000:10:1c", 63),
    ],
)  # fmt: skip
def test_lines_of_all_drivers_are_understood(line: str, slot: str, code: int) -> None:
    (xid,) = xids(line)
    assert (xid.slot, xid.code) == (slot, code)


@pytest.mark.parametrize(
    "line",
    [
        "nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 11001, Fatal, ingress invalid command",
        "NVRM: Xid (PCI:0000:66:00): abc, pid=2280636",
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.08",
    ],
)
def test_other_lines_are_no_xids(line: str) -> None:
    assert xids(line) == ()
