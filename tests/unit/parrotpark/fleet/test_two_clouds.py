"""GPU hosts in two clouds: made where there is an image and room, and one cloud never holds up the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Leftover
from parrotpark.cloud.errors import AuthFailed, OutOfCapacity, Transient
from parrotpark.fleet import verbs
from parrotpark.fleet.attempts import REST
from parrotpark.fleet.errors import NotReached, WrongProject
from parrotpark.fleet.status import status
from parrotpark.shared.lease import ROLE, UNTIL, State
from parrotpark.shared.wish import ASLEEP, Wish

if TYPE_CHECKING:
    from tests.unit.parrotpark.fleet.conftest import Controller, Fault, Project

AWAKE = Wish(None)
OLD = "b" * 32


def away(_: str) -> Fault | None:
    raise Transient("away")


def fine(_: str) -> Fault | None:
    return None


def creations(both: Controller) -> list[str]:
    """Which offers were asked for, in the first cloud and then in the second."""
    return [call.partition(" as ")[2] for cloud in both.clouds for call in cloud.calls if call.startswith("create")]


def refuse_all(project: Project, both: Controller) -> None:
    project.refusals = {offer: OutOfCapacity("sold out") for offer in both.fleet.offers if offer.cloud == project.name}


# ---- where a host is made ---------------------------------------------------------------------------------------


def test_the_preferred_cloud_comes_first(both: Controller, project: Project, other: Project) -> None:
    project.save()
    other.save()
    verbs.fulfil(both.keeper, AWAKE)
    assert (project.names(), other.names()) == (["gpu-1"], [])


@pytest.mark.parametrize("stale", [False, True])
def test_only_offers_of_a_cloud_with_a_current_image_are_tried(
    both: Controller, project: Project, other: Project, stale: bool
) -> None:
    if stale:
        project.save(OLD)
    image = other.save()
    verbs.fulfil(both.keeper, Wish(2))
    assert (project.names(), other.names()) == ([], ["gpu-1", "gpu-2"])
    assert {server.image for server in other.servers.values()} == {image.id}
    assert creations(both) == ["gpu-l4 in fsn1 at other"] * 2
    said = status(both.fleet, AWAKE, both.keeper.look())
    assert said.image == "image current, but none at gpu: make wake on the control machine bakes it there"
    assert said.image_current


def test_each_host_is_made_from_the_image_of_its_cloud(both: Controller, project: Project, other: Project) -> None:
    other.save(OLD)
    here, there = project.save(), other.save()
    assert here.id != there.id
    project.refusals[both.fleet.offers[0]] = OutOfCapacity("sold out")
    verbs.fulfil(both.keeper, AWAKE)
    assert [server.image for server in project.servers.values()] == [here.id]
    refuse_all(project, both)
    verbs.fulfil(both.keeper, Wish(2))
    assert [server.image for server in other.servers.values()] == [there.id]


def test_an_offer_that_could_not_be_had_rests_until_somebody_asks(
    both: Controller, project: Project, other: Project
) -> None:
    project.save()
    other.save()
    refuse_all(project, both)
    preferred = ["gpu-l4 in fsn1 at gpu", "gpu-l4 in nbg1 at gpu"]
    both.wish("awake 1")
    verbs.keep(both.keeper)
    assert creations(both) == [*preferred, "gpu-l4 in fsn1 at other"]
    for seconds, tried in ((30, []), (REST, preferred)):
        both.clock.sleep(seconds)
        other.servers.clear()
        for cloud in both.clouds:
            cloud.calls.clear()
        verbs.keep(both.keeper)
        assert creations(both) == [*tried, "gpu-l4 in fsn1 at other"]
    said = status(both.fleet, AWAKE, both.keeper.look()).lines()
    assert sum("OutOfCapacity: sold out" in line for line in said) == 4
    other.servers.clear()
    both.clouds[0].calls.clear()
    verbs.fulfil(both.keeper, AWAKE)
    assert creations(both)[:2] == preferred


def test_where_all_offers_rest_all_are_tried(both: Controller, project: Project, other: Project) -> None:
    project.save()
    other.save()
    refuse_all(project, both)
    refuse_all(other, both)
    both.wish("awake")
    for _ in range(2):
        for cloud in both.clouds:
            cloud.calls.clear()
        (trouble,) = verbs.keep(both.keeper).troubles
        assert str(trouble).count("sold out") == len(creations(both)) == 3


# ---- who is who -------------------------------------------------------------------------------------------------


def test_twins_of_one_id_in_two_clouds_are_told_apart(both: Controller, project: Project, other: Project) -> None:
    here, there = (each.add("gpu-1", each.lease()) for each in (project, other))
    assert (here.id, here.key != there.key) == (there.id, True)
    both.clock.sleep(60)
    both.wish("awake")
    report = verbs.keep(both.keeper)
    assert [str(action) for action in report.actions] == ["gpu-1: delete at once, gpu-1 has another server already"]
    assert (list(project.servers.values()), other.names()) == ([here], [])
    assert both.told() == {"gpu-1": int(here.labels[UNTIL])}


def test_hosts_of_one_id_are_both_drained(both: Controller, project: Project, other: Project) -> None:
    project.add("gpu-1", project.lease("gpu-1"))
    other.add("gpu-2", other.lease("gpu-2"))
    for each in (project, other):
        each.leftovers["7"] = Leftover("address", "7", each.name, "192.0.2.9", int(both.clock.now()) - 601)
    both.clock.sleep(60)
    assert len(verbs.fulfil(both.keeper, ASLEEP).actions) == 4
    assert (project.servers, other.servers) == ({}, {})
    assert (project.leftovers, other.leftovers) == ({}, {})


def test_the_cloud_of_the_entry_server_is_named_and_nothing_is_touched_anywhere(
    both: Controller, project: Project, other: Project
) -> None:
    other.add("entry-server", {ROLE: "entry"})
    project.add("stray", {})
    both.wish("asleep")
    with pytest.raises(WrongProject, match=r"^cloud other is the project of entry-server"):
        verbs.keep(both.keeper)
    assert project.names() == ["stray"]


# ---- a cloud that is away ---------------------------------------------------------------------------------------


def test_a_silent_cloud_holds_up_no_host_of_another(both: Controller, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease("gpu-1", left=100))
    project.add("stray", {})
    project.boots_in = 0
    both.clouds[1].fault = away
    both.wish("awake 2")
    report = verbs.keep(both.keeper)
    assert [str(action).split(",")[0] for action in report.actions] == [
        "gpu-1: renew its lease",
        "stray: delete at once",
        "gpu-2: create from the golden image",
    ]
    assert any(line.endswith("cloud other cannot be asked: away") for line in both.lines)
    assert "cloud other cannot be asked: away" in status(both.fleet, AWAKE, both.keeper.look()).lines()


def test_a_host_in_a_silent_cloud_is_not_made_again_before_its_lease_ends(
    both: Controller, project: Project, other: Project
) -> None:
    other.save()
    verbs.fulfil(both.keeper, AWAKE)
    end = int(other.named("gpu-1").labels[UNTIL])
    project.save()
    both.clouds[1].fault = away
    both.clock.sleep(end - both.clock.now())
    assert verbs.keep(both.keeper).actions == ()
    both.wish("awake 2")  # the other one of the two can be had
    assert [str(action) for action in verbs.keep(both.keeper).actions] == ["gpu-2: create from the golden image"]
    both.clock.sleep(1)
    assert [str(action) for action in verbs.keep(both.keeper).actions] == ["gpu-1: create from the golden image"]
    assert project.names() == ["gpu-1", "gpu-2"]


def test_a_host_that_may_have_been_made_counts_though_no_answer_came(
    both: Controller, project: Project, other: Project
) -> None:
    other.save()
    both.wish("awake")
    both.clouds[1].fault = lambda call: "lost" if call.startswith("create") else None
    verbs.keep(both.keeper)
    assert other.names() == ["gpu-1"]
    project.save()
    both.clouds[1].fault = away
    assert verbs.keep(both.keeper).actions == ()
    assert project.names() == []


def test_where_no_cloud_answers_nothing_is_known(both: Controller) -> None:
    both.wish("awake")
    for cloud in both.clouds:
        cloud.fault = away
    with pytest.raises(Transient, match=r"^away$"):
        verbs.keep(both.keeper)


def test_a_sleep_ends_only_when_every_cloud_has_been_asked(both: Controller, other: Project) -> None:
    other.add("gpu-1", other.lease())
    both.clouds[1].fault = away
    with pytest.raises(NotReached, match="cloud other cannot be asked: away"):
        verbs.fulfil(both.keeper, ASLEEP)
    both.clouds[1].fault = fine
    verbs.fulfil(both.keeper, ASLEEP)
    assert other.servers == {}


def test_a_token_that_may_only_read_costs_no_host_elsewhere_its_lease(
    both: Controller, project: Project, other: Project
) -> None:
    def refused(call: str) -> Fault | None:
        if not call.startswith("list"):
            raise AuthFailed("check the token")
        return None

    project.add("gpu-1", project.lease("gpu-1", left=100))
    project.add("stray", {})
    other.add("gpu-2", other.lease("gpu-2", left=100))
    other.add("stray", {})
    project.boots_in = other.boots_in = 0
    both.clouds[0].fault = refused
    both.wish("awake 2")
    report = verbs.keep(both.keeper)
    assert [str(trouble) for trouble in report.troubles] == ["gpu-1: renew its lease: check the token"]
    assert (project.names(), other.names()) == (["gpu-1", "stray"], ["gpu-2"])
    assert int(other.named("gpu-2").labels[UNTIL]) - both.clock.now() == both.fleet.lease_seconds


def test_an_image_that_is_baked_in_one_cloud_is_no_reason_to_wait_in_another(
    both: Controller, project: Project, other: Project
) -> None:
    project.add("gpu-bake-gpu", project.lease("gpu-bake-gpu", State.BAKING))
    other.save()
    both.wish("awake")
    verbs.keep(both.keeper)
    assert (project.names(), other.names()) == (["gpu-bake-gpu"], ["gpu-1"])
