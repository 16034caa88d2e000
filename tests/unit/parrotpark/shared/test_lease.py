"""Leases survive the way over labels, and only real leases are read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.shared.lease import MAKER, MAX_LENGTH, STATE, UNTIL, Lease, LeaseError, State, label_value

LEASE = Lease("gpu", "gpu-1", State.BAKING, "entry", "0123abcd", until=1_800_000_000)

# What Hetzner Cloud accepts as a label's value.
_LABEL = re.compile(r"(?=.{1,63}\Z)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_INNER = "".join(chr(code) for code in range(128) if chr(code).isalnum()) + "._-"
label_texts = st.text(_INNER, min_size=1, max_size=MAX_LENGTH).filter(_LABEL.fullmatch)
leases = st.builds(
    Lease,
    role=label_texts,
    slot=label_texts,
    state=st.sampled_from(State),
    maker=label_texts,
    fingerprint=label_texts,
    until=st.integers(0, 10**12 - 1),
)


@given(leases)
def test_a_lease_survives_its_labels(lease: Lease) -> None:
    assert Lease.parse({"other": "label", **lease.labels()}) == lease


@given(leases)
def test_every_label_is_one_that_the_api_accepts(lease: Lease) -> None:
    assert all(_LABEL.fullmatch(value) for value in lease.labels().values())


@given(st.text())
def test_any_text_becomes_a_label_value(text: str) -> None:
    assert _LABEL.fullmatch(label_value(text))


@pytest.mark.parametrize("value", ["", "a:b", "-a", "a.", "a" * (MAX_LENGTH + 1), "ä", "a\n"])
def test_a_value_that_no_label_can_carry_is_refused(value: str) -> None:
    with pytest.raises(LeaseError, match=r"maker .* cannot be a label"):
        Lease("gpu", "gpu-1", State.BAKING, value, "abc", 1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (STATE, "sleeping", "parrotpark-state is 'sleeping', not one of baking, waking, serving"),
        (UNTIL, "2026-11-22", "parrotpark-until is '2026-11-22', not epoch seconds"),
        (UNTIL, "-1", "not epoch seconds"),
        (UNTIL, "\u0661", "not epoch seconds"),
    ],
)
def test_a_wrong_label_is_named(key: str, value: str, message: str) -> None:
    with pytest.raises(LeaseError, match=re.escape(message)):
        Lease.parse({**LEASE.labels(), key: value})


def test_a_missing_label_is_named() -> None:
    labels = LEASE.labels()
    del labels[MAKER]
    with pytest.raises(LeaseError, match="label parrotpark-maker is missing"):
        Lease.parse(labels)


def test_a_lease_ends_with_its_last_second() -> None:
    assert LEASE.valid(LEASE.until - 1)
    assert not LEASE.valid(LEASE.until)


def test_changes_leave_the_rest() -> None:
    assert LEASE.with_changes() == LEASE
    assert LEASE.with_changes(state=State.SERVING, until=5).labels() == {
        **LEASE.labels(),
        STATE: "serving",
        UNTIL: "5",
    }
