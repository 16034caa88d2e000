"""The server of a slot is created, kept, renewed, replaced or deleted, as the provider's list demands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark import gpu_server
from parrotpark.cloud import OFF, Place, Server
from parrotpark.cloud.errors import AuthFailed, InvalidRequest, OutOfCapacity, QuotaExceeded
from parrotpark.gpu_server import Verb, Wanted, carry_out, decide_absent, decide_present
from parrotpark.lease import FINGERPRINT, STATE, UNTIL, Lease, LeaseError, State

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

NOW = 1_800_000_000
HOUR = 3600
HERE, THERE = Place("fsn1", "gpu-l4"), Place("nbg1", "gpu-l4")
WANTED = Wanted(
    slot="gpu-1",
    places=(HERE, THERE),
    image="debian-13",
    maker="entry",
    fingerprint="abc",
    term=12 * HOUR,
    labels={"localhost-port": "8443"},
)
LEASE = Lease("gpu", "gpu-1", State.SERVING, "somebody", "abc", until=NOW + 10 * HOUR)


def apply(cloud: FakeCloud, wanted: Wanted = WANTED, now: int = NOW) -> tuple[Verb, Server | None]:
    step = decide_present(gpu_server.find(cloud, "gpu-1"), wanted, now)
    gpu_server.check(cloud, step, wanted)
    return step.verb, carry_out(cloud, step, wanted)


def test_an_empty_slot_gets_a_server_that_carries_its_lease_from_the_start(cloud: FakeCloud) -> None:
    verb, server = apply(cloud)
    assert server is not None
    assert (verb, server.name, server.location) == (Verb.CREATE, "gpu-1", "fsn1")
    assert server.labels == {
        "localhost-port": "8443",
        "parrotpark-role": "gpu",
        "parrotpark-slot": "gpu-1",
        "parrotpark-state": "baking",
        "parrotpark-maker": "entry",
        "parrotpark-fingerprint": "abc",
        "parrotpark-until": str(NOW + 12 * HOUR),
    }
    assert cloud.calls == ["create gpu-1 as gpu-l4 in fsn1"]


def test_the_second_run_keeps_it(cloud: FakeCloud) -> None:
    _, server = apply(cloud)
    cloud.calls.clear()
    assert apply(cloud, now=NOW + 60) == (Verb.KEEP, server)
    assert cloud.calls == []


def test_a_server_that_another_made_is_adopted_with_its_state_and_maker(cloud: FakeCloud) -> None:
    server = cloud.add("gpu-1", {**LEASE.labels(), "localhost-port": "8443"})
    assert apply(cloud) == (Verb.KEEP, server)


def test_labels_beside_the_lease_stay_and_are_completed(cloud: FakeCloud) -> None:
    cloud.add("gpu-1", {**LEASE.labels(), "theirs": "1"})
    verb, server = apply(cloud)
    assert server is not None
    assert (verb, cloud.calls) == (Verb.ADJUST, ["relabel gpu-1"])
    assert server.labels == {**LEASE.labels(), "theirs": "1", "localhost-port": "8443"}


def test_the_state_follows_when_it_is_given(cloud: FakeCloud) -> None:
    apply(cloud)
    verb, server = apply(cloud, replace(WANTED, state=State.SERVING))
    assert server is not None
    assert (verb, server.labels[STATE]) == (Verb.ADJUST, "serving")
    assert apply(cloud)[0] is Verb.KEEP


def test_a_server_that_is_off_is_switched_on(cloud: FakeCloud) -> None:
    server = cloud.add("gpu-1", LEASE.labels())
    cloud.running[server.id] = replace(server, status=OFF)
    step = decide_present(gpu_server.find(cloud, "gpu-1"), WANTED, NOW)
    assert (step.verb, step.reason) == (Verb.ADJUST, "gpu-1 stays: its labels change, it is switched on")
    assert apply(cloud)[0] is Verb.ADJUST
    assert cloud.calls == ["start gpu-1", "relabel gpu-1"]
    assert apply(cloud)[0] is Verb.KEEP


def test_a_lease_is_renewed_once_less_than_half_of_it_is_left(cloud: FakeCloud) -> None:
    apply(cloud)
    assert apply(cloud, now=NOW + 6 * HOUR)[0] is Verb.KEEP
    verb, server = apply(cloud, now=NOW + 6 * HOUR + 1)
    assert server is not None
    assert (verb, server.labels[UNTIL]) == (Verb.ADJUST, str(NOW + 18 * HOUR + 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({UNTIL: str(NOW - 5)}, "gpu-1: its lease ended 5 s ago"),
        ({FINGERPRINT: "old"}, "gpu-1: its fingerprint is old, not abc"),
        ({UNTIL: "soon"}, "gpu-1: label parrotpark-until is 'soon', not epoch seconds"),
    ],
)
def test_a_server_without_a_valid_lease_is_replaced(cloud: FakeCloud, change: dict[str, str], reason: str) -> None:
    cloud.add("gpu-1", {**LEASE.labels(), **change})
    step = decide_present(gpu_server.find(cloud, "gpu-1"), WANTED, NOW)
    assert (step.verb, step.reason) == (Verb.REPLACE, reason)
    assert carry_out(cloud, step, WANTED) in cloud.running.values()
    assert cloud.calls == ["delete gpu-1", "create gpu-1 as gpu-l4 in fsn1"]


def test_of_two_servers_in_one_slot_one_stays(cloud: FakeCloud) -> None:
    cloud.add("old", {**LEASE.labels(), FINGERPRINT: "old"})
    server = cloud.add("gpu-1", {**LEASE.labels(), **WANTED.labels})
    assert apply(cloud) == (Verb.ADJUST, server)
    assert cloud.calls == ["delete old"]


def test_other_slots_and_roles_are_left_alone(cloud: FakeCloud) -> None:
    cloud.add("gpu-2", replace(LEASE, slot="gpu-2").labels())
    cloud.add("entry", {"parrotpark-role": "entry"})
    apply(cloud)
    assert cloud.calls == ["create gpu-1 as gpu-l4 in fsn1"]
    assert len(cloud.running) == 3


def test_the_next_offer_is_tried_where_there_is_no_capacity_or_quota(cloud: FakeCloud) -> None:
    cloud.refusals[HERE] = OutOfCapacity("sold out")
    _, server = apply(cloud)
    assert server is not None
    assert server.location == "nbg1"
    assert cloud.calls == ["create gpu-1 as gpu-l4 in fsn1", "create gpu-1 as gpu-l4 in nbg1"]


def test_when_no_offer_can_be_had_all_reasons_are_given(cloud: FakeCloud) -> None:
    cloud.refusals = {HERE: OutOfCapacity("sold out"), THERE: QuotaExceeded("limit reached")}
    with pytest.raises(QuotaExceeded) as caught:
        apply(cloud)
    assert str(caught.value) == ("no offer can be had now: gpu-l4 in fsn1: sold out; gpu-l4 in nbg1: limit reached")


def test_no_offer_at_all_is_said(cloud: FakeCloud) -> None:
    with pytest.raises(InvalidRequest, match="name at least one location"):
        apply(cloud, replace(WANTED, places=()))


def test_other_refusals_end_the_search(cloud: FakeCloud) -> None:
    cloud.refusals[HERE] = AuthFailed("wrong token")
    with pytest.raises(AuthFailed):
        apply(cloud)
    assert cloud.calls == ["create gpu-1 as gpu-l4 in fsn1"]


def test_an_impossible_server_is_refused_before_the_old_one_is_deleted(cloud: FakeCloud) -> None:
    cloud.add("gpu-1", {**LEASE.labels(), FINGERPRINT: "old"})
    with pytest.raises(InvalidRequest, match="gpu-x in fsn1 is unknown"):
        apply(cloud, replace(WANTED, places=(Place("fsn1", "gpu-x"),)))
    assert cloud.calls == []


def test_a_value_that_no_label_can_carry_is_refused_before_anything_happens(cloud: FakeCloud) -> None:
    with pytest.raises(LeaseError, match="fingerprint 'a:b' cannot be a label"):
        apply(cloud, replace(WANTED, fingerprint="a:b"))
    assert cloud.calls == []


def test_absent_deletes_whatever_stands_in_the_slot(cloud: FakeCloud) -> None:
    cloud.add("gpu-1", LEASE.labels())
    step = decide_absent(gpu_server.find(cloud, "gpu-1"), "gpu-1")
    assert (step.verb, carry_out(cloud, step, None)) == (Verb.DELETE, None)
    assert decide_absent(gpu_server.find(cloud, "gpu-1"), "gpu-1").verb is Verb.KEEP


servers = st.builds(
    lambda name, until, fingerprint, state: Server(
        id=name,
        name=name,
        status="running",
        provider="fake",
        location="fsn1",
        server_type="gpu-l4",
        image=None,
        ipv4=None,
        ipv6=None,
        labels=Lease("gpu", "gpu-1", state, "x", fingerprint, until).labels(),
        created=NOW,
    ),
    st.sampled_from(["a", "b", "c"]),
    st.integers(NOW - 20 * HOUR, NOW + 20 * HOUR),
    st.sampled_from(["abc", "old"]),
    st.sampled_from(State),
)


@given(st.lists(servers, max_size=3, unique_by=lambda server: server.id))
def test_whatever_is_found_the_slot_ends_with_one_valid_server_and_stays_so(found: list[Server]) -> None:
    step = decide_present(found, WANTED, NOW)
    kept = [] if step.keep is None else [step.keep]
    made = step.verb in (Verb.CREATE, Verb.REPLACE)
    assert len(kept) + made == 1
    assert {server.id for server in found} == {server.id for server in (*step.delete, *kept)}
    lease = Lease.parse(step.labels)
    assert lease.valid(NOW)
    assert lease.fingerprint == "abc"
    settled = replace(found[0] if found else kept[0], labels=step.labels) if found or kept else None
    if settled is not None:
        assert decide_present([settled], WANTED, NOW).verb is Verb.KEEP
