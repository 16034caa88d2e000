"""Wake and sleep go on until it is so; keep and sweep take one step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import OFF, Leftover
from parrotpark.cloud.errors import AuthFailed, CloudError, InvalidRequest, OutOfCapacity, Transient
from parrotpark.fleet import verbs
from parrotpark.fleet.config import load
from parrotpark.fleet.errors import FleetError, NotMade, NotReached, WrongProject
from parrotpark.shared.lease import ROLE, STATE, UNTIL, State
from parrotpark.shared.wish import ASLEEP, Wish, WishError, read_wish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.parrotpark.fleet.conftest import Controller, Fault, Project

AWAKE = Wish(None)


def test_a_wake_makes_a_server_from_the_image_and_ends_when_the_models_answer(
    controller: Controller, project: Project
) -> None:
    image = project.save()
    report = verbs.fulfil(controller.keeper, AWAKE)
    server = project.named("gpu-1")
    assert (server.image, server.labels[STATE]) == (image.id, "serving")
    assert [str(action) for action in report.actions] == ["gpu-1: create from the golden image", "gpu-1: it serves"]
    assert report.changed
    assert controller.told() == {"gpu-1": int(server.labels[UNTIL])}
    assert read_wish(controller.fleet.wish_file) == AWAKE
    (config,) = project.user_data.values()
    (file,) = json.loads(config.removeprefix("#cloud-config\n"))["write_files"]
    assert json.loads(file["content"])["lease"] == {"until": server.created + 900}


def test_the_second_wake_changes_nothing(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    controller.cloud.calls.clear()
    report = verbs.fulfil(controller.keeper, AWAKE)
    assert (report.changed, report.actions) == (False, ())
    assert controller.cloud.calls == ["list servers", "list images", "list leftovers"]


def test_a_renewal_is_no_change(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    controller.clock.sleep(400)
    report = verbs.fulfil(controller.keeper, AWAKE)
    assert ([str(action) for action in report.actions], report.changed) == (["gpu-1: renew its lease"], False)
    assert controller.told() == {"gpu-1": int(controller.clock.now()) + 900}


def test_a_wake_sees_when_the_models_answer_without_asking_the_cloud_all_the_time(
    controller: Controller, project: Project
) -> None:
    project.save()
    project.boots_in = 100
    start = controller.clock.now()
    verbs.fulfil(controller.keeper, AWAKE)
    assert controller.clock.now() - start <= 101
    assert controller.cloud.calls.count("list servers") < 12


def test_a_wake_ends_only_when_the_stable_endpoint_answers(controller: Controller, project: Project) -> None:
    project.save()
    controller.endpoint_up = False
    with pytest.raises(NotReached, match=r"given up after 9\d\d s: the hosts serve, but the models' stable"):
        verbs.fulfil(controller.keeper, AWAKE)
    controller.endpoint_up = True
    verbs.fulfil(controller.keeper, AWAKE)


def test_people_see_what_takes_how_long(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    verbs.fulfil(controller.keeper, ASLEEP)
    controller.lines.clear()
    verbs.fulfil(controller.keeper, AWAKE)
    assert controller.lines == [
        "    0 s  the wish is awake (usually 30 s)",
        "    0 s  gpu-1: create from the golden image (usually 0 s)",
        "    0 s  gpu-1: the models do not answer yet (usually 30 s)",
        "   30 s  gpu-1: it serves",
    ]


def test_a_sleep_drains_deletes_and_sees_that_nothing_is_left(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, Wish(2))
    project.leftovers["7"] = Leftover("address", "7", "gpu", "192.0.2.9", int(controller.clock.now()) - 601)
    controller.gate.answering_until = controller.clock.now() + 20
    controller.cloud.calls.clear()
    report = verbs.fulfil(controller.keeper, ASLEEP)
    assert [str(action) for action in report.actions] == [
        "address 192.0.2.9: delete, no server uses it",
        "gpu-2: drain and delete, it is not wished for",
        "gpu-1: drain and delete, it is not wished for",
    ]
    assert (project.servers, project.leftovers, controller.told()) == ({}, {}, {})
    assert controller.cloud.calls[-3:] == ["list servers", "list images", "list leftovers"]
    assert frozenset({"10.78.0.11", "10.78.0.12"}) in controller.gate.history
    assert controller.gate.closed == frozenset()
    assert "   20 s  gpu-2: drain and delete, it is not wished for" in controller.lines
    assert not verbs.fulfil(controller.keeper, ASLEEP).changed


def test_answers_that_do_not_end_are_cut_after_a_while(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    controller.gate.answering_until = controller.clock.now() + 3600
    verbs.fulfil(controller.keeper, ASLEEP)
    assert "   60 s  gpu-1: 1 connections are cut after 60 s" in controller.lines
    assert project.servers == {}


def test_a_drain_may_take_longer_than_a_wake(
    controller: Controller, write_config: Callable[..., Path], project: Project
) -> None:
    controller.fleet = load(write_config(ready_seconds=60, drain_seconds=300))
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    controller.gate.answering_until = controller.clock.now() + 3600
    assert verbs.fulfil(controller.keeper, ASLEEP).changed
    assert project.servers == {}


def test_a_sleep_does_not_wait_for_a_server_that_is_baked(controller: Controller, project: Project) -> None:
    project.add("gpu-bake", project.lease("gpu-bake", State.BAKING))
    verbs.fulfil(controller.keeper, ASLEEP)
    assert project.names() == ["gpu-bake"]


def test_a_wish_that_changes_meanwhile_ends_the_wait(controller: Controller, project: Project) -> None:
    project.save()

    def wish_otherwise(call: str) -> Fault | None:
        if call.startswith("create"):
            controller.wish("asleep")
        return None

    controller.cloud.fault = wish_otherwise
    with pytest.raises(NotReached, match="the wish is asleep now: somebody has changed it meanwhile"):
        verbs.fulfil(controller.keeper, AWAKE)


def test_a_host_that_never_serves_is_given_up_and_deleted(controller: Controller, project: Project) -> None:
    project.save()
    project.boots_in = 10**6
    with pytest.raises(NotReached, match=r"given up after 9\d\d s: gpu-1: the models do not answer yet"):
        verbs.fulfil(controller.keeper, AWAKE)
    project.images.clear()
    controller.clock.sleep(1)
    report = verbs.keep(controller.keeper)
    assert [str(action) for action in report.actions] == ["gpu-1: delete at once, it did not serve within 900 s"]


@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        (
            OutOfCapacity("sold out"),
            "no offer can be had now: gpu-l4 in fsn1 at gpu: sold out; gpu-l4 in nbg1 at gpu: sold out",
        ),
        (AuthFailed("check the token"), "check the token"),
    ],
)
def test_what_only_a_person_can_change_ends_a_wake_at_once(
    controller: Controller, project: Project, trouble: CloudError, line: str
) -> None:
    project.save()
    for offer in controller.fleet.offers:
        project.refusals[offer] = trouble
    with pytest.raises(type(trouble)) as caught:
        verbs.fulfil(controller.keeper, AWAKE)
    assert str(caught.value) == f"gpu-1: create from the golden image: {line}"
    assert (project.servers, controller.told()) == ({}, {})
    assert read_wish(controller.fleet.wish_file) == AWAKE


def test_a_wake_without_an_image_says_what_to_do(controller: Controller) -> None:
    with pytest.raises(NotMade, match=r"^gpu-1: no golden image carries .* run make wake on the control machine$"):
        verbs.fulfil(controller.keeper, AWAKE)


def test_a_host_that_others_delete_meanwhile_ends_no_wake(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    controller.clock.sleep(400)
    lost = project.named("gpu-1")

    def meanwhile(call: str) -> Fault | None:
        if call == "relabel gpu-1":
            project.servers.pop(lost.id, None)  # the new one of this name has another id
        return None

    controller.cloud.fault = meanwhile
    verbs.fulfil(controller.keeper, AWAKE)
    said = "gpu-1: renew its lease: somebody has deleted the server meanwhile: looking again"
    assert any(line.endswith(said) for line in controller.lines)
    assert project.named("gpu-1").id != lost.id


def test_a_wake_goes_on_when_the_cloud_is_away_for_a_moment(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)  # from now on it is known how long that usually takes
    verbs.fulfil(controller.keeper, ASLEEP)
    controller.lines.clear()
    away = iter([Transient("away")] * 3)

    def fail(call: str) -> Fault | None:
        if call == "list servers" and (error := next(away, None)):
            raise error
        return None

    controller.cloud.fault = fail
    verbs.fulfil(controller.keeper, AWAKE)
    assert [line for line in controller.lines if "away" in line] == ["    0 s  away"]
    assert project.names() == ["gpu-1"]


def test_a_cloud_that_stays_away_is_given_up(controller: Controller) -> None:
    def fail(_: str) -> Fault | None:
        raise Transient("away")

    controller.cloud.fault = fail
    with pytest.raises(NotReached, match=r"given up after 900 s: away \(the wish stays"):
        verbs.fulfil(controller.keeper, AWAKE)


def test_keep_needs_a_wish_but_sweeps_without(controller: Controller, project: Project) -> None:
    project.add("stray", {})
    project.add("gpu-1", project.lease())
    with pytest.raises(WishError, match="there is no wish"):
        verbs.keep(controller.keeper)
    assert project.names() == ["gpu-1"]


def test_keep_uses_all_slots_and_says_so_when_more_are_wished(controller: Controller, project: Project) -> None:
    project.save()
    controller.wish("awake 5")
    verbs.keep(controller.keeper)
    assert project.names() == ["gpu-1", "gpu-2", "gpu-3"]
    assert controller.lines[0].endswith("the wish is for 5 hosts, but there are 3 slots: wish for fewer; all are used")


def test_keep_goes_on_after_what_failed(controller: Controller, project: Project) -> None:
    project.save()
    project.refusals = dict.fromkeys(controller.fleet.offers, OutOfCapacity("sold out"))
    project.add("gpu-1", project.lease(left=100))
    project.add("stray", {})

    def fail(call: str) -> Fault | None:
        if call == "relabel gpu-1":
            raise Transient("not now")
        return None

    controller.cloud.fault = fail
    project.boots_in = 0
    controller.wish("awake 2")
    report = verbs.keep(controller.keeper)
    assert [str(trouble).split(":")[:3] for trouble in report.troubles] == [
        ["gpu-1", " renew its lease", " not now"],
        ["gpu-2", " create from the golden image", " no offer can be had now"],
    ]
    assert project.names() == ["gpu-1"]
    assert report.changed


def test_a_cloud_that_is_slow_costs_no_other_host_its_lease(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)

    def dawdle(call: str) -> Fault | None:
        if call.startswith("create"):
            controller.clock.sleep(500)
        return None

    controller.cloud.fault = dawdle
    controller.wish("awake 3")
    assert [str(action) for action in verbs.keep(controller.keeper).actions] == ["gpu-2: create from the golden image"]
    assert [str(action) for action in verbs.keep(controller.keeper).actions] == [
        "gpu-1: renew its lease",
        "gpu-3: create from the golden image",
    ]


def test_keep_stops_at_a_refused_token(controller: Controller, project: Project) -> None:
    project.add("stray-1", {})
    project.add("stray-2", {})
    controller.wish("asleep")

    def fail(call: str) -> Fault | None:
        if call.startswith("delete"):
            raise AuthFailed("check the token in /file, and that it may write")
        return None

    controller.cloud.fault = fail
    (trouble,) = verbs.keep(controller.keeper).troubles
    assert str(trouble).endswith("check the token in /file, and that it may write")


def test_keep_replaces_a_host_that_is_lost(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    project.switch("gpu-1", OFF)
    report = verbs.keep(controller.keeper)
    assert [str(action) for action in report.actions] == [
        "gpu-1: delete at once, it is switched off",
        "gpu-1: create from the golden image",
    ]


def test_a_sweep_deletes_and_makes_nothing(controller: Controller, project: Project) -> None:
    project.save()
    controller.wish("awake")
    project.add("stray", {})
    plan = verbs.plan_sweep(controller.keeper)
    assert project.names() == ["stray"]
    assert verbs.sweep(controller.keeper).actions == plan.actions
    assert project.servers == {}
    assert not verbs.sweep(controller.keeper).changed


def test_a_plan_says_all_and_does_nothing(controller: Controller, project: Project) -> None:
    project.save()
    project.add("stray", {})
    report = verbs.plan_wish(controller.keeper, Wish(2))
    assert [str(action).split(",")[0] for action in report.actions] == [
        "stray: delete at once",
        "gpu-1: create from the golden image",
        "gpu-2: create from the golden image",
    ]
    assert report.wished
    assert report.changed
    assert project.names() == ["stray"]
    assert not controller.fleet.wish_file.exists()
    assert not controller.fleet.leases_dir.exists()


def test_a_plan_of_what_is_so_is_empty(controller: Controller, project: Project) -> None:
    project.save()
    verbs.fulfil(controller.keeper, AWAKE)
    assert not verbs.plan_wish(controller.keeper, AWAKE).changed
    assert verbs.plan_wish(controller.keeper, ASLEEP).changed


def test_a_plan_refuses_what_the_cloud_does_not_have(controller: Controller, project: Project) -> None:
    project.save()

    def rename(call: str) -> Fault | None:
        if call == "check":
            raise InvalidRequest("server type 'gpu-l4' is unknown to the cloud; it knows: gpu-l5")
        return None

    controller.cloud.fault = rename
    with pytest.raises(InvalidRequest, match="it knows: gpu-l5"):
        verbs.plan_wish(controller.keeper, AWAKE)


@pytest.mark.parametrize("verb", [verbs.keep, verbs.sweep])
def test_the_project_of_the_entry_server_is_not_touched(controller: Controller, project: Project, verb: object) -> None:
    project.add("entry-server", {ROLE: "entry"})
    project.add("stray", {})
    controller.wish("asleep")
    assert callable(verb)
    with pytest.raises(FleetError) as caught:
        verb(controller.keeper)
    assert isinstance(caught.value, WrongProject)
    assert project.names() == ["entry-server", "stray"]
