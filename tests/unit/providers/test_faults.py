"""Whatever happens to whichever request: the next run reaches what was wanted, and nothing is billed unseen."""

from __future__ import annotations

import random
import traceback
from collections.abc import Mapping
from itertools import count

import pytest

from parrotpark.cloud.errors import Transient
from tests.unit.providers.faults import FAULTS, Fault, Killed, Network
from tests.unit.providers.life import USER_DATA, live
from tests.unit.providers.stages import Stage

RANDOM_RUNS = 250


def attempt(stage: Stage, network: Network, plan: Mapping[int, Fault]) -> list[str] | None:
    """Live once with these faults; return what was billed between, or None if that attempt failed."""
    network.begin(plan)
    try:
        return live(stage.cloud(), stage)
    except Killed:
        return None
    except Transient as error:
        assert "\n" not in str(error)
        said = "".join(traceback.format_exception(error)) + repr(error)
        assert not any(secret in said for secret in (*stage.secrets, USER_DATA))
        return None


@pytest.mark.parametrize("fault", FAULTS)
def test_any_request_may_fail(stage: Stage, network: Network, fault: Fault) -> None:
    kinds = attempt(stage, network, {})
    for number in count(1):
        attempt(stage, network, {number: fault})
        if len(network.calls) < number:
            break
        failed = network.calls[number - 1]
        assert attempt(stage, network, {}) == kinds, f"{fault} at request {number}, {failed}"
    assert number > 30
