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
from tests.unit.providers.life import FURNISHING, OTHER_FURNISHING, USER_DATA, build, tear_down, verify
from tests.unit.providers.stages import Stage

RUNS = 125  # of two attempts that fail, by two faults each
LIKE_UNDONE = ("lost", "killed after")  # where a request changes nothing: like "refused" and "killed before"


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
    assert not any(secret in said for secret in (*stage.secrets, USER_DATA))


def attempt(stage: Stage, network: Network, plan: Mapping[int, Fault]) -> None:
    """Live once with these faults, which may end it."""
    network.begin(plan)
    with may_fail(stage):
        cloud = stage.cloud()
        built = build(cloud, stage)
        if network.failed:
            with network.paused():
                verify(cloud, stage, built)
        tear_down(cloud)


def live(stage: Stage, network: Network) -> list[str]:
    """Live once without faults, whatever was before; return the kinds of what was billed meanwhile."""
    network.begin({})
    cloud = stage.cloud()
    kinds = verify(cloud, stage, build(cloud, stage))
    tear_down(cloud)
    assert stage.billed() == set()
    return kinds


@pytest.mark.parametrize("fault", FAULTS)
def test_any_request_may_fail(stage: Stage, network: Network, fault: Fault) -> None:
    kinds = live(stage, network)
    attempt(stage, network, {})
    methods = tuple(network.methods)
    assert len(methods) > 20
    for number, method in enumerate(methods, 1):
        if method == "GET" and fault in LIKE_UNDONE:
            continue
        attempt(stage, network, {number: fault})
        assert len(network.failed) == 1
        with noted(network):
            assert live(stage, network) == kinds


@pytest.mark.parametrize("part", range(5))
def test_any_four_requests_of_two_runs_may_fail(stage: Stage, network: Network, part: int) -> None:
    """The second of them heals what the first has left."""
    kinds = live(stage, network)
    for seed in range(part * RUNS // 5, (part + 1) * RUNS // 5):
        chance = random.Random(seed)
        failed = []
        for _ in range(2):
            first = chance.randint(1, 40)
            second = first + chance.randint(1, 5)
            attempt(stage, network, {number: chance.choice(FAULTS) for number in (first, second)})
            failed += network.failed
        with noted(network, f"seed {seed}", *failed):
            assert live(stage, network) == kinds


@pytest.mark.parametrize("before", [None, OTHER_FURNISHING])
def test_any_request_of_a_furnishing_may_fail(stage: Stage, network: Network, before: Furnishing | None) -> None:
    for fault in FAULTS:
        for number in count(1):
            network.begin({})
            stage.unfurnish()
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
                assert stage.cloud().furnish(FURNISHING, check=True) == ()
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
