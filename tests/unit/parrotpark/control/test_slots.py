"""Slots keep their names and addresses, whatever their number."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control.slots import Slot, SlotError, slots


def test_slots_begin_at_the_eleventh_address() -> None:
    assert slots(2, "10.78.0.0/24") == (Slot("gpu-1", "10.78.0.11"), Slot("gpu-2", "10.78.0.12"))


def test_no_slots_are_fine() -> None:
    assert slots(0, "10.78.0.0/24") == ()


@given(st.integers(0, 100), st.integers(0, 100))
def test_more_slots_leave_those_before_as_they_are(few: int, more: int) -> None:
    assert slots(few + more, "10.78.0.0/24")[:few] == slots(few, "10.78.0.0/24")


@given(st.integers(1, 300), st.integers(1, 300))
def test_every_slot_has_an_address_of_its_own_inside_the_network(count: int, first: int) -> None:
    network = ipaddress.ip_network("10.78.0.0/24")
    try:
        laid_out = slots(count, str(network), first)
    except SlotError:
        assert first + count > 255
        return
    addresses = [ipaddress.ip_address(slot.address) for slot in laid_out]
    assert len(set(addresses)) == count
    assert set(addresses) <= set(network.hosts())


@pytest.mark.parametrize(
    ("count", "network", "message"),
    [
        (245, "10.78.0.0/24", "245 slots from address 11 on do not fit into 10.78.0.0/24"),
        (1, "10.78.0.1/24", "is not a network"),
        (1, "overlay", "is not a network"),
        (-1, "10.78.0.0/24", "must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(count: int, network: str, message: str) -> None:
    with pytest.raises(SlotError, match=message):
        slots(count, network)
