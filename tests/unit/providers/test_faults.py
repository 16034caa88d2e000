"""Whatever happens to whichever request: the next run reaches what was wanted, and nothing is billed unseen."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count

import pytest

from parrotpark.cloud.errors import Transient
from tests.unit.providers.faults import FAULTS, Fault, Killed, Network
from tests.unit.providers.life import USER_DATA, build, tear_down, verify
from tests.unit.providers.stages import Stage

RANDOM_RUNS = 250


def attempt(stage: Stage, network: Network, plan: Mapping[int, Fault]) -> None:
    """Live once with these faults, which may end it."""
    network.begin(plan)
    try:
        cloud = stage.cloud()
        built = build(cloud, stage)
        if network.failed:
            with network.paused():
                verify(cloud, stage, built)
        tear_down(cloud)
    except Killed:
        return
    except Transient as error:
        assert "\n" not in str(error)
        said = "".join(traceback.format_exception(error)) + repr(error)
        assert not any(secret in said for secret in (*stage.secrets, USER_DATA))


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
    for number in count(1):
        attempt(stage, network, {number: fault})
        if not network.failed:
            break
        with noted(network):
            assert live(stage, network) == kinds
    assert number > 20


@contextmanager
def noted(network: Network) -> Iterator[None]:
    """Tell which requests had failed before an error."""
    failed = tuple(network.failed)
    try:
        yield
    except Exception as error:
        error.add_note(f"after {'; '.join(failed)}")
        raise
