"""Whatever happens to whichever request: the next run reaches what was wanted, and nothing is billed unseen."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count

import pytest

from parrotpark.cloud import Furnishing
from parrotpark.cloud.errors import Transient
from tests.unit.providers.faults import FAULTS, Fault, Killed, Network
from tests.unit.providers.life import FURNISHING, OTHER_FURNISHING, SECRET, build, tear_down, verify
from tests.unit.providers.stages import Stage

RUNS = 20  # of two attempts that fail, by two faults each; with --every-fault five times as many
STEP = 5  # each kind of fault is tried at every fifth request, by turns; with --every-fault at all of them
LIKE_UNDONE = ("lost", "killed after")  # where a request changes nothing: like "refused" and "killed before"


def in_turn(number: int, fault: Fault) -> bool:
    """Whether this request is one of those that this fault is tried at."""
    return (number + FAULTS.index(fault)) % STEP == 0


@contextmanager
def may_fail(stage: Stage) -> Iterator[None]:
    """Let the block end as a run may end by a fault of the network: killed, or by an error that says so."""
    raised: Transient | None = None
    try:
        yield
    except Killed:
        """There is nobody to say anything."""
    except Transient as error:
        raised = error
    said = "".join(traceback.format_exception(raised)) + repr(raised)
    assert "\n" not in str(raised)
    assert not any(secret in said for secret in (*stage.secrets, SECRET))


def attempt(stage: Stage, network: Network, plan: Mapping[int, Fault]) -> bool:
    """Live once with these faults; return whether it came to its end nevertheless."""
    network.begin(plan)
    with may_fail(stage):
        cloud = stage.cloud()
        built = build(cloud, stage)
        if network.failed:
            with network.paused():
                verify(cloud, stage, built)
        tear_down(cloud)
        assert stage.billed() == set()
        return True
    return False


def live(stage: Stage, network: Network) -> list[str]:
    """Live once without faults, whatever was before; return the kinds of what was billed meanwhile."""
    network.begin({})
    cloud = stage.cloud()
    kinds = verify(cloud, stage, build(cloud, stage))
    tear_down(cloud)
    assert stage.billed() == set()
    return kinds


@pytest.mark.parametrize("fault", FAULTS)
def test_any_request_may_fail(stage: Stage, network: Network, fault: Fault, every_fault: bool) -> None:
    kinds = live(stage, network)
    stage.clear()
    assert attempt(stage, network, {})
    methods = tuple(network.methods)
    assert len(methods) > 20
    for number, method in enumerate(methods, 1):
        reads = method == "GET"
        if reads and fault in LIKE_UNDONE:
            continue
        if not (every_fault or in_turn(number, fault)):
            continue
        stage.clear()
        ended = attempt(stage, network, {number: fault})
        assert len(network.failed) == 1
        # Where nothing was done by and after this request, everything is as after "killed before", which is healed.
        if ended or (reads and fault != "killed before" and len(network.methods) == number):
            continue
        with noted(network):
            assert live(stage, network) == kinds


@pytest.mark.parametrize("part", range(5))
def test_any_four_requests_of_two_runs_may_fail(stage: Stage, network: Network, part: int, every_fault: bool) -> None:
    """The second of them heals what the first has left."""
    kinds = live(stage, network)
    assert attempt(stage, network, {})
    last = len(network.methods)
    each = RUNS if every_fault else RUNS // 5
    for seed in range(part * each, (part + 1) * each):
        chance = random.Random(seed)
        failed = []
        for _ in range(2):
            first = chance.randint(1, last)
            second = first + chance.randint(1, 5)
            attempt(stage, network, {number: chance.choice(FAULTS) for number in (first, second)})
            failed += network.failed
        with noted(network, f"seed {seed}", *failed):
            assert live(stage, network) == kinds


@pytest.mark.parametrize("before", [None, OTHER_FURNISHING])
def test_any_request_of_a_furnishing_may_fail(
    stage: Stage, network: Network, before: Furnishing | None, every_fault: bool
) -> None:
    for fault in FAULTS:
        for number in count(1):
            if not (every_fault or in_turn(number, fault)):
                continue
            network.begin({})
            stage.clear()
            if before:
                stage.cloud().furnish(before)
            changes = stage.cloud().furnish(FURNISHING, check=True)
            network.begin({number: fault})
            with may_fail(stage):
                assert stage.cloud().furnish(FURNISHING) == changes
            if not network.failed:
                break
            with noted(network):
                network.begin({})
                stage.cloud().furnish(FURNISHING)
                assert not stage.cloud().furnish(FURNISHING, check=True)
        assert number > 2


@contextmanager
def noted(network: Network, *notes: str) -> Iterator[None]:
    """Tell which requests had failed before an error."""
    notes = notes or tuple(network.failed)
    try:
        yield
    except Exception as error:
        error.add_note(f"after {'; '.join(notes)}")
        raise
