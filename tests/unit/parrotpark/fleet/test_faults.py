"""Whatever fails at whatever call: never two servers in a slot, and once the leases are over a sweep leaves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parrotpark.cloud import OFF
from parrotpark.fleet import verbs
from parrotpark.fleet.decide import FRESH
from parrotpark.fleet.losses import HOURLY
from parrotpark.fleet.status import status
from parrotpark.shared.lease import SLOT, State
from parrotpark.shared.wish import ASLEEP, Wish

if TYPE_CHECKING:
    from parrotpark.fleet.keep import Keeper
    from tests.unit.parrotpark.fleet.conftest import Controller, Fault, Project, World

TERM = 900
FAULTS: list[Fault] = ["refused", "lost", "wrong", "killed before", "killed after", "killed between"]
VERBS: dict[str, Callable[[Keeper], object]] = {
    "wake": lambda keeper: verbs.fulfil(keeper, Wish(None)),
    "wake 2": lambda keeper: verbs.fulfil(keeper, Wish(2)),
    "sleep": lambda keeper: verbs.fulfil(keeper, ASLEEP),
    "keep": verbs.keep,
    "sweep": verbs.sweep,
}


def invariant(project: Project) -> None:
    """At most one server in every slot, and what others bake or keep is still there."""
    held = Counter(server.labels.get(SLOT) for server in project.servers.values())
    assert max(held.values(), default=0) <= 1, project.names()
    assert "gpu-bake" in project.names()
    assert len(project.images) == 1


def prepare(project: Project) -> None:
    project.save()
    project.add("gpu-bake", project.lease("gpu-bake", State.BAKING, left=23 * 3600))


@pytest.mark.parametrize("gone", [False, True], ids=["comes again", "gone for good"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_fault_at_any_call_is_made_good(world: World, verb: str, fault: Fault, gone: bool) -> None:
    for number in range(100):
        project, (controller, other) = world(2)
        prepare(project)
        if not verb.startswith("wake"):  # something to do for them
            verbs.fulfil(controller.keeper, Wish(None))
            project.add("stray", {})
            controller.wish("awake 2")
        reached = controller.attempt(VERBS[verb], {number: fault}) > number
        invariant(project)
        if gone:  # the leases end, and whoever sweeps then leaves nothing
            controller.clock.sleep(TERM + 1)
            verbs.sweep(other.keeper)
        else:
            verbs.fulfil(controller.keeper, Wish(2))
            assert project.names() == ["gpu-1", "gpu-2", "gpu-bake"]
            verbs.fulfil(controller.keeper, ASLEEP)
            controller.clock.sleep(FRESH + 1)
            verbs.keep(controller.keeper)
        assert project.names() == ["gpu-bake"]
        assert project.leftovers == {}
        if not reached:
            assert number > 3
            return
    pytest.fail(f"{verb} calls the cloud without end")


steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(sorted(VERBS)),
        st.dictionaries(st.integers(0, 12), st.sampled_from(FAULTS), max_size=4),
        st.sampled_from([0, 1, 31, 301, TERM + 1]),
    ),
    max_size=8,
)


@settings(max_examples=150)
@given(steps)
def test_two_controllers_that_fail_all_the_time_leave_nothing_alone(
    world: World, steps: list[tuple[int, str, dict[int, Fault], int]]
) -> None:
    project, controllers = world(2)
    prepare(project)
    for index, verb, faults, seconds in steps:
        controllers[index].attempt(VERBS[verb], faults)
        invariant(project)
        project.clock.sleep(seconds)
    project.clock.sleep(TERM + 1)
    verbs.sweep(controllers[0].keeper)
    assert project.names() == ["gpu-bake"]
    assert project.leftovers == {}


def test_two_wakes_at_once_make_one_server(world: World) -> None:
    project, (one, other) = world(2)
    prepare(project)

    def meanwhile(call: str) -> Fault | None:
        if call.startswith("create"):
            one.cloud.fault = lambda _: None
            verbs.fulfil(other.keeper, Wish(None))
        return None

    one.cloud.fault = meanwhile
    verbs.fulfil(one.keeper, Wish(None))
    assert project.names() == ["gpu-1", "gpu-bake"]
    assert project.named("gpu-1").labels["parrotpark-maker"] == "controller-1"
    assert one.told() == other.told()


def test_the_dead_man_alone_ends_a_host(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    verbs.fulfil(controller.keeper, Wish(2))
    for _ in range(20):  # minutes in which nobody renews, though the last word is still to be heard
        project.clock.sleep(60)
        project.deadman(controller.told())
    assert {project.named(name).status for name in ("gpu-1", "gpu-2")} == {OFF}


def test_with_a_controller_that_lives_no_host_ever_ends(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    verbs.fulfil(controller.keeper, Wish(2))
    before = [project.named(name).id for name in ("gpu-1", "gpu-2")]
    for _ in range(300):
        project.clock.sleep(60)
        report = verbs.keep(controller.keeper)
        project.deadman(controller.told())
        assert not report.changed
    assert [project.named(name).id for name in ("gpu-1", "gpu-2")] == before
    assert project.named("gpu-1").status != OFF


def keep_for(controller: Controller, seconds: int) -> None:
    """Let the timer run, half a minute after a run that takes some seconds."""
    end = controller.clock.now() + seconds
    while controller.clock.now() < end:
        controller.clock.sleep(35)
        verbs.keep(controller.keeper)


def test_people_are_without_answers_for_three_minutes_at_most(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    verbs.fulfil(controller.keeper, Wish(None))
    project.hang("gpu-1")
    keep_for(controller, 140)
    assert controller.keeper.endpoint_ready()
    assert project.made == 2


def test_a_host_that_comes_back_within_a_minute_is_kept(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    project.boots_in = 10
    verbs.fulfil(controller.keeper, Wish(None))
    for wait in range(35):  # wherever in the timer's period it happens
        project.hang("gpu-1", 60)
        project.clock.sleep(wait)
        verbs.keep(controller.keeper)
        keep_for(controller, 140)
        assert project.named("gpu-1").labels["parrotpark-state"] == "serving"
    assert project.made == 1


def test_a_host_that_serves_ends_the_row_of_those_that_did_not(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    controller.wish("awake")
    project.boots_in = 10**6
    keep_for(controller, 2000)
    assert [loss.served for loss in controller.keeper.look().losses] == [False, False]
    project.boots_in = 30
    keep_for(controller, 600)
    assert [loss.served for loss in controller.keeper.look().losses] == [True, True]


def test_models_that_start_slowly_are_waited_for_as_long_as_they_usually_take(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    project.boots_in = 200
    verbs.fulfil(controller.keeper, Wish(None))
    project.hang("gpu-1", 190)
    keep_for(controller, 400)
    assert project.made == 1


lives = st.lists(st.tuples(st.sampled_from([0, 10, 1000, 10**6]), st.integers(1, 7000)), min_size=20, max_size=20)


@settings(max_examples=15)
@given(lives)
def test_whatever_becomes_of_the_hosts_few_are_made_in_an_hour(world: World, lives: list[tuple[int, int]]) -> None:
    project, (controller,) = world(1)
    prepare(project)
    controller.wish("awake")
    made: dict[str, float] = {}
    end = project.clock.now() + 4 * 3600
    fates = iter(lives)
    while project.clock.now() < end:
        project.clock.sleep(30)
        verbs.keep(controller.keeper)
        new = [server for name, server in project.servers.items() if name not in made and server.name == "gpu-1"]
        for server in new:
            made[server.id] = project.clock.now()
            boots_in, lives_for = next(fates)
            project.boots_in = boots_in
            project.ends[server.id] = (project.clock.now() + boots_in + lives_for, float("inf"))
        invariant(project)
    times = sorted(made.values())
    assert times, "it is not given up either"
    for index, time in enumerate(times):
        assert sum(time <= other < time + 3600 for other in times[index:]) <= HOURLY + 1


def test_what_never_serves_is_tried_more_and_more_seldom_until_a_person_asks(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    controller.wish("awake")
    project.boots_in = 10**6
    keep_for(controller, 3600)
    assert project.made == 3
    keep_for(controller, 12 * 3600)
    assert project.made == 3 + 10  # an hour and the time that each gets to serve
    while "gpu-1" in project.names():
        keep_for(controller, 1)
    seen = controller.keeper.look()
    said = status(controller.fleet, Wish(None), seen).lines()[1]
    next_one = datetime.fromtimestamp(seen.losses[-1].at + 3600, UTC)
    assert said == (
        f"no new host before {next_one:%Y-%m-%d %H:%M:%S} UTC, as the last one was lost: "
        "it did not serve within 900 s; parrotpark wake tries at once"
    )
    assert status(controller.fleet, ASLEEP, seen).pause is None
    (trouble,) = verbs.keep(controller.keeper).troubles
    assert str(trouble) == f"gpu-1: {said}"
    project.boots_in = 30
    verbs.fulfil(controller.keeper, Wish(None))
    assert "gpu-1" in project.names()
    assert controller.keeper.look().losses == ()


def test_a_lost_host_is_made_anew_by_keep_alone(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    verbs.fulfil(controller.keeper, Wish(None))
    lost = project.named("gpu-1").id
    project.servers.pop(lost)
    keep_for(controller, 120)
    assert project.named("gpu-1").id != lost
    assert project.named("gpu-1").labels["parrotpark-state"] == "serving"


def test_a_gate_that_a_killed_run_left_closed_is_opened_by_the_next(world: World) -> None:
    project, (controller,) = world(1)
    prepare(project)
    controller.wish("awake")
    controller.gate.close({"10.78.0.11"})
    verbs.keep(controller.keeper)
    assert controller.gate.closed == frozenset()
