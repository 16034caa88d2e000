"""A server is had from the first offer that has one; what was tried is known afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Offer, ServerSpec
from parrotpark.cloud.acquire import Acquirer, table
from parrotpark.cloud.errors import (
    AuthFailed,
    InvalidRequest,
    NameTaken,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
)
from parrotpark.fleet import boot

if TYPE_CHECKING:
    from parrotpark.fleet.config import Fleet
    from tests.unit.parrotpark.fleet.conftest import Controller, Fault, Project

HERE, THERE = Offer("gpu", "fsn1", "gpu-l4"), Offer("gpu", "nbg1", "gpu-l4")


@pytest.fixture
def specs(fleet: Fleet, project: Project) -> list[ServerSpec]:
    return boot.specs(fleet, fleet.slots[0], [project.save()], fleet.offers, int(project.clock.now()))


@pytest.fixture
def acquirer(controller: Controller) -> Acquirer:
    return Acquirer(controller.cloud, controller.clock, jitter=lambda low, high: (low + high) / 2)


def test_the_first_offer_comes_first(acquirer: Acquirer, specs: list[ServerSpec]) -> None:
    assert acquirer.acquire(specs).location == "fsn1"
    assert len(acquirer.attempts) == 1


@pytest.mark.parametrize("refusal", [OutOfCapacity("sold out"), QuotaExceeded("limit reached")])
def test_where_one_has_none_the_next_is_tried(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project, refusal: OutOfCapacity
) -> None:
    project.refusals[HERE] = refusal
    assert acquirer.acquire(specs).location == "nbg1"
    assert table(acquirer.attempts).splitlines() == [
        f"gpu-l4 in fsn1 at gpu     0.0 s  {type(refusal).__name__}: {refusal}",
        "gpu-l4 in nbg1 at gpu     0.0 s  server 9",
    ]


def test_when_no_offer_can_be_had_all_reasons_are_given(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project
) -> None:
    project.refusals = {HERE: QuotaExceeded("limit reached"), THERE: OutOfCapacity("sold out")}
    with pytest.raises(OutOfCapacity) as caught:
        acquirer.acquire(specs)
    assert str(caught.value) == f"no offer can be had now: {HERE}: limit reached; {THERE}: sold out"


def test_a_refused_token_ends_it_at_once(acquirer: Acquirer, specs: list[ServerSpec], project: Project) -> None:
    project.refusals[HERE] = AuthFailed("check the token in /file")
    with pytest.raises(AuthFailed, match="check the token in /file"):
        acquirer.acquire(specs)
    assert len(acquirer.attempts) == 1


@pytest.mark.parametrize("refusal", [Transient("not now"), RateLimited("too many calls")])
def test_passing_trouble_is_waited_for_but_not_for_ever(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project, refusal: Transient
) -> None:
    project.refusals[HERE] = refusal
    start = project.clock.now()
    with pytest.raises(type(refusal)):
        acquirer.acquire(specs)
    assert len(acquirer.attempts) == 5
    assert project.clock.now() - start == 1 + 2 + 4 + 8


def test_a_cloud_that_takes_minutes_to_fail_is_not_asked_again(
    acquirer: Acquirer, specs: list[ServerSpec], controller: Controller, project: Project
) -> None:
    def fail(_: str) -> Fault | None:
        project.clock.sleep(61)
        return "refused"

    controller.cloud.fault = fail
    with pytest.raises(Transient):
        acquirer.acquire(specs)
    assert len(acquirer.attempts) == 1


def test_a_server_whose_answer_was_lost_is_found_again(
    acquirer: Acquirer, specs: list[ServerSpec], controller: Controller, project: Project
) -> None:
    faults: list[Fault] = ["lost"]
    controller.cloud.fault = lambda _: faults.pop() if faults else None
    server = acquirer.acquire(specs)
    assert list(project.servers.values()) == [server]
    assert [entry.outcome.split(":")[0] for entry in acquirer.attempts] == ["Transient", f"server {server.id}"]


def test_a_server_that_another_just_made_is_adopted(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project
) -> None:
    project.add("stray", {"parrotpark-slot": "gpu-1"})
    server = project.add("gpu-1", project.lease())
    assert acquirer.acquire(specs) == server


@pytest.mark.parametrize(("left", "fingerprint"), [(0, "a" * 32), (900, "b" * 32)])
def test_a_server_that_is_not_as_good_is_not_adopted(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project, left: int, fingerprint: str
) -> None:
    project.add("gpu-1", project.lease(left=left, fingerprint=fingerprint))
    with pytest.raises(NameTaken, match="a server named 'gpu-1' exists with another lease"):
        acquirer.acquire(specs)


def test_a_type_that_was_renamed_is_named_with_those_there_are(
    fleet: Fleet, project: Project, acquirer: Acquirer
) -> None:
    image = project.save()
    (spec, _) = boot.specs(fleet, fleet.slots[0], [image], fleet.offers, 0)
    renamed = ServerSpec(spec.name, Offer("gpu", "fsn1", "gpu-x"), spec.image, spec.labels)
    with pytest.raises(InvalidRequest, match="server type 'gpu-x' is unknown to the cloud; it knows: gpu-l4"):
        acquirer.acquire([renamed])


def test_an_image_that_has_gone_is_named(acquirer: Acquirer, specs: list[ServerSpec], project: Project) -> None:
    project.images.clear()
    with pytest.raises(InvalidRequest, match="image '8' is unknown to the cloud"):
        acquirer.acquire(specs)


def test_what_a_check_cannot_explain_stays_as_it_was_said(
    acquirer: Acquirer, specs: list[ServerSpec], project: Project
) -> None:
    project.refusals[HERE] = NotFound("firewall 'x' is not in the project")
    with pytest.raises(NotFound, match="firewall 'x' is not in the project"):
        acquirer.acquire(specs)
