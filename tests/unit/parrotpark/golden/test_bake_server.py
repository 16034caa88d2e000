"""The server to bake on is always a fresh one, and never taken from another controller that is baking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Offer, Server, ServerSpec
from parrotpark.cloud.errors import InvalidRequest, NameTaken, OutOfCapacity
from parrotpark.golden import bake_server
from parrotpark.golden.bake_server import HOUR, BeingBaked, Plan, Wanted, carry_out, decide
from parrotpark.gpu_host.deadman import WITHOUT_LEASE
from parrotpark.shared.lease import FINGERPRINT, UNTIL, Lease, LeaseError, State

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

NOW = 1_800_000_000  # 2027-01-15 08:00:00 UTC
HERE, THERE = Offer("fake", "fsn1", "gpu-l4"), Offer("fake", "nbg1", "gpu-l4")
WANTED = Wanted(name="gpu-bake", offers=(HERE, THERE), image="debian-13", maker="me", fingerprint="abc", term=3 * HOUR)
OURS = Lease("gpu", "gpu-bake", State.BAKING, "me", "abc", until=NOW + HOUR)
THEIRS = replace(OURS, maker="somebody")


def decided(cloud: FakeCloud, wanted: Wanted = WANTED, now: int = NOW) -> Plan:
    return decide(bake_server.find(cloud, wanted.name), wanted, now)


def make(cloud: FakeCloud, wanted: Wanted = WANTED, now: int = NOW) -> Server:
    plan = decided(cloud, wanted, now)
    bake_server.check(cloud, plan, wanted)
    return carry_out(cloud, plan, wanted)


def test_the_server_carries_its_lease_from_the_start(cloud: FakeCloud) -> None:
    assert decided(cloud).reason == "there is no server gpu-bake"
    server = make(cloud)
    assert (server.name, server.location) == ("gpu-bake", "fsn1")
    assert server.labels == {
        "parrotpark-role": "gpu",
        "parrotpark-slot": "gpu-bake",
        "parrotpark-state": "baking",
        "parrotpark-maker": "me",
        "parrotpark-fingerprint": "abc",
        "parrotpark-until": str(NOW + 3 * HOUR),
    }
    assert cloud.calls == ["create gpu-bake as gpu-l4 in fsn1 at fake"]


@pytest.mark.parametrize(
    ("lease", "changes", "reason"),
    [
        (OURS, {}, "an earlier run of ours did not finish it"),
        (OURS, {FINGERPRINT: "old"}, "an earlier run of ours did not finish it"),
        (THEIRS, {UNTIL: str(NOW)}, "its lease ended 0 s ago"),
        (THEIRS, {UNTIL: str(NOW + 24 * HOUR + 1)}, "its lease ends more than a day from now"),
        (THEIRS, {UNTIL: "9" * 12}, "its lease ends more than a day from now"),
        (THEIRS, {UNTIL: "soon"}, "label parrotpark-until is 'soon', not epoch seconds"),
    ],
)
def test_what_an_interrupted_run_has_left_goes_first(
    cloud: FakeCloud, lease: Lease, changes: Mapping[str, str], reason: str
) -> None:
    old = cloud.add("gpu-bake", {**lease.labels(), **changes})
    assert decided(cloud).reason == f"gpu-bake goes: {reason}"
    assert make(cloud).id != old.id
    assert cloud.calls == ["delete gpu-bake", "create gpu-bake as gpu-l4 in fsn1 at fake"]


@pytest.mark.parametrize("fingerprint", ["abc", "old"])
def test_where_another_is_baking_it_is_said_who_and_until_when(cloud: FakeCloud, fingerprint: str) -> None:
    cloud.add("gpu-bake", OURS.labels())
    cloud.add("gpu-bake", {**THEIRS.labels(), FINGERPRINT: fingerprint})
    with pytest.raises(BeingBaked) as caught:
        make(cloud)
    assert str(caught.value) == (
        "somebody is baking a golden image on server gpu-bake and may do so until 2027-01-15T09:00:00Z: "
        "wait until it is done, or delete that server"
    )
    assert cloud.calls == []


@pytest.mark.parametrize("quicker", [THEIRS, replace(OURS, until=NOW + 3 * HOUR + 1)], ids=["theirs", "ours"])
def test_a_server_that_another_run_has_just_made_is_not_shared(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, quicker: Lease
) -> None:
    def create(spec: ServerSpec) -> Server:
        cloud.add(spec.name, quicker.labels())
        raise NameTaken("it is there")

    monkeypatch.setattr(cloud, "create", create)
    monkeypatch.setattr("parrotpark.shared.clock.time.time", lambda: float(NOW))
    with pytest.raises(BeingBaked, match=rf"^{quicker.maker} is baking a golden image on server gpu-bake"):
        make(cloud)
    assert cloud.calls == []


def test_the_servers_of_slots_and_other_roles_are_left_alone(cloud: FakeCloud) -> None:
    cloud.add("gpu-1", replace(OURS, slot="gpu-1", state=State.SERVING).labels())
    cloud.add("entry", {"parrotpark-role": "entry"})
    make(cloud)
    assert cloud.calls == ["create gpu-bake as gpu-l4 in fsn1 at fake"]


def test_the_next_offer_is_tried_where_there_is_no_capacity(cloud: FakeCloud) -> None:
    cloud.refusals[HERE] = OutOfCapacity("sold out")
    assert make(cloud).location == "nbg1"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"offers": ()}, InvalidRequest, "name at least one location"),
        ({"offers": (Offer("fake", "fsn1", "gpu-x"),)}, InvalidRequest, "gpu-x in fsn1 at fake is unknown"),
        ({"term": 0}, InvalidRequest, "a lease of 0 hours is not possible: give 1 to 3"),
        ({"term": 4 * HOUR}, InvalidRequest, "a lease of 4 hours is not possible: give 1 to 3"),
        ({"fingerprint": "a:b"}, LeaseError, "fingerprint 'a:b' cannot be a label"),
    ],
)
def test_an_impossible_server_is_refused_before_the_old_one_is_deleted(
    cloud: FakeCloud, changes: Mapping[str, object], error: type[Exception], message: str
) -> None:
    cloud.add("gpu-bake", OURS.labels())
    with pytest.raises(error, match=message):
        make(cloud, replace(WANTED, **changes))  # type: ignore[arg-type]
    assert cloud.calls == []


def test_a_lease_may_last_as_long_as_the_dead_man_lets_the_host_live(cloud: FakeCloud) -> None:
    assert make(cloud, replace(WANTED, term=WITHOUT_LEASE)).labels[UNTIL] == str(NOW + WITHOUT_LEASE)
