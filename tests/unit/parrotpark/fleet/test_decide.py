"""From what is wished and what is seen follows what has to happen: every rule by an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.cloud import OFF, RUNNING, Leftover, Server
from parrotpark.fleet.actions import Action, Create, Delete, MarkSilent, Remove, Shortfall, Sweep
from parrotpark.fleet.decide import SPARE, Seen, decide, loss_of, sweep
from parrotpark.fleet.errors import WrongProject
from parrotpark.fleet.losses import Loss
from parrotpark.shared.lease import ROLE, STATE, UNTIL, Lease, State
from parrotpark.shared.wish import Wish

if TYPE_CHECKING:
    from parrotpark.fleet.config import Fleet
    from tests.unit.parrotpark.fleet.conftest import Controller, Project, World

NOW = 1_800_000_000
OLD = "b" * 32
AWAKE = Wish(None)
PATIENCE = 60
REPLACED = ["gpu-1: delete at once, its cards may not serve: Xid 79", "gpu-1: create from the golden image"]
type Decided = Callable[..., list[str]]


def look(project: Project, *ready: str, losses: Sequence[Loss] = ()) -> Seen:
    return Seen(
        NOW,
        tuple(project.servers.values()),
        tuple(project.images.values()),
        tuple(project.leftovers.values()),
        frozenset(ready),
        losses,
        PATIENCE,
    )


@pytest.fixture
def decided(fleet: Fleet, project: Project) -> Decided:
    def run(wish: Wish, *ready: str, losses: Sequence[Loss] = ()) -> list[str]:
        return [str(action) for action in decide(fleet, wish, look(project, *ready, losses=losses))]

    return run


def test_nothing_wished_and_nothing_there_is_fine(decided: Decided) -> None:
    assert decided(Wish(0)) == []


def test_the_lowest_free_slots_are_filled_from_the_current_image(
    fleet: Fleet, project: Project, decided: Decided
) -> None:
    project.save()
    image = project.save()
    project.save(OLD)
    assert decide(fleet, Wish(2), look(project)) == (Create(fleet.slots[0], (image,)), Create(fleet.slots[1], (image,)))
    assert decided(AWAKE) == ["gpu-1: create from the golden image"]


def test_without_a_current_image_it_is_said_what_to_do(decided: Decided, project: Project) -> None:
    lack = "gpu-1: no golden image carries the fingerprint " + "a" * 32
    assert decided(AWAKE) == [f"{lack}, there is none at all: run make wake on the control machine"]
    project.save(OLD)
    assert decided(AWAKE) == [f"{lack}, the newest carries {OLD}: run make wake on the control machine"]


def test_a_waking_host_that_answers_serves(decided: Decided, project: Project) -> None:
    project.add("gpu-1", project.lease(state=State.WAKING))
    assert decided(AWAKE) == []
    assert decided(AWAKE, "gpu-1") == ["gpu-1: it serves"]


def test_a_waking_host_that_does_not_answer_in_time_is_deleted(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease(state=State.WAKING, left=0))
    assert decided(AWAKE, "gpu-1") == [
        "gpu-1: delete at once, it did not serve within 900 s",
        "gpu-1: create from the golden image",
    ]


@pytest.mark.parametrize(("left", "renewed"), [(600, False), (599, True), (1, True), (900, False), (901, True)])
def test_the_lease_of_a_healthy_host_is_renewed_in_time_and_never_too_long(
    decided: Decided, project: Project, left: int, renewed: bool
) -> None:
    project.add("gpu-1", project.lease(left=left))
    assert decided(AWAKE, "gpu-1") == (["gpu-1: renew its lease"] if renewed else [])


@pytest.mark.parametrize("left", [1, 600, 900, 720 * 3600])
def test_a_host_that_stops_answering_gets_little_time_to_come_back(
    fleet: Fleet, decided: Decided, project: Project, left: int
) -> None:
    server = project.add("gpu-1", project.lease(left=left))
    assert decide(fleet, AWAKE, look(project)) == (MarkSilent(server, NOW + PATIENCE + SPARE),)
    assert decided(AWAKE) == ["gpu-1: its models stopped answering"]


@pytest.mark.parametrize("left", [PATIENCE + SPARE, SPARE + 1])
def test_a_silent_host_is_waited_for(decided: Decided, project: Project, left: int) -> None:
    project.add("gpu-1", project.lease(state=State.SILENT, left=left))
    assert decided(AWAKE) == []


@pytest.mark.parametrize("left", [PATIENCE + SPARE, SPARE, 1])
def test_a_silent_host_that_answers_again_serves_on(decided: Decided, project: Project, left: int) -> None:
    project.save()
    project.add("gpu-1", project.lease(state=State.SILENT, left=left))
    assert decided(AWAKE, "gpu-1") == ["gpu-1: it serves"]


@pytest.mark.parametrize("left", [SPARE, 1])
def test_a_host_that_stays_silent_is_replaced_at_once(decided: Decided, project: Project, left: int) -> None:
    project.save()
    project.add("gpu-1", project.lease(state=State.SILENT, left=left))
    assert decided(AWAKE) == [
        "gpu-1: delete at once, its models stopped answering",
        "gpu-1: create from the golden image",
    ]


@pytest.mark.parametrize(
    ("state", "ready", "left", "done"),
    [
        (State.WAKING, (), 600, REPLACED),
        (State.SILENT, (), SPARE + 9, REPLACED),
        (State.SERVING, (), 600, ["gpu-1: its models stopped answering"]),
        (State.SERVING, ("gpu-1",), 800, []),
    ],
)
def test_a_host_whose_cards_may_not_serve_is_replaced_at_once_unless_it_answers(
    fleet: Fleet, project: Project, state: State, ready: tuple[str, ...], left: int, done: list[str]
) -> None:
    project.save()
    project.add("gpu-1", project.lease(state=state, left=left))
    seen = replace(look(project, *ready), ill={"gpu-1": "Xid 79"})
    assert [str(action) for action in decide(fleet, AWAKE, seen)] == done


def test_only_hosts_that_do_not_answer_are_asked_for_their_cards_and_the_reason_is_kept(
    fleet: Fleet, project: Project, controller: Controller
) -> None:
    """As `parrotpark status` shows it, and as it decides when the next host comes."""
    asked: list[tuple[list[str], int]] = []

    def ask(addresses: Iterable[str], port: int) -> dict[str, str]:
        asked.append((list(addresses), port))
        return dict.fromkeys(asked[-1][0], "Xid 79")

    keeper = controller.keeper
    keeper._ask = ask
    project.save()
    project.add("gpu-1", project.lease(state=State.WAKING))
    project.add("gpu-2", project.lease("gpu-2"))
    project.hang("gpu-1")
    project.clock.time += 600  # by then the other one answers
    assert keeper.look().ready == {"gpu-2"}
    assert keeper.look().ill == {}
    keeper.fleet = replace(fleet, cards_port=9400)
    keeper.keep(Wish(2))
    assert asked == [([fleet.slots[0].address], 9400)]
    (loss,) = keeper.look().losses
    assert (loss.served, loss.reason) == (False, "its cards may not serve: Xid 79")


def test_a_lease_that_is_too_long_is_cut(decided: Decided, project: Project) -> None:
    server = project.add("gpu-1", project.lease(state=State.SILENT, left=PATIENCE + SPARE + 1))
    assert decided(AWAKE) == ["gpu-1: its models stopped answering"]
    project.servers[server.id] = replace(server, labels=project.lease(state=State.WAKING, left=901))
    assert decided(AWAKE) == ["gpu-1: renew its lease"]


def test_a_host_that_was_switched_off_is_replaced(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease(), status=OFF)
    assert decided(AWAKE) == ["gpu-1: delete at once, it is switched off", "gpu-1: create from the golden image"]


def test_a_waking_host_may_still_be_off(decided: Decided, project: Project) -> None:
    project.add("gpu-1", project.lease(state=State.WAKING), status=OFF)
    assert decided(AWAKE) == []


UNSERVED = [Loss(NOW - seconds, served=False, reason="it was late") for seconds in (9000, 2000, 300)]


@pytest.mark.parametrize(
    ("losses", "next_try"),
    [
        ([], NOW),
        (UNSERVED[2:], NOW),  # once may be bad luck
        (UNSERVED[1:], NOW),  # 300 s after the second in a row
        (UNSERVED, NOW + 600),  # 900 s after the third
        ([Loss(NOW - 1, served=True, reason="it was lost")], NOW),
        ([Loss(NOW - seconds, served=True, reason="it was lost") for seconds in (3500, 9, 8, 7)], NOW + 100),
    ],
)
def test_the_pauses_grow_and_the_hour_has_a_bound(
    decided: Decided, project: Project, losses: list[Loss], next_try: int
) -> None:
    project.save()
    wait = datetime.fromtimestamp(next_try, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert decided(AWAKE, losses=losses) == [
        "gpu-1: create from the golden image"
        if next_try == NOW
        else f"gpu-1: no new host before {wait}, as the last one was lost: {losses[-1].reason}; "
        "parrotpark wake tries at once"
    ]
    assert decided(Wish(0), losses=losses) == []


def test_what_is_lost_now_counts_already(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease(state=State.WAKING, left=0))
    swept, lack = decided(AWAKE, losses=UNSERVED[2:])
    assert swept == "gpu-1: delete at once, it did not serve within 900 s"
    assert lack.startswith("gpu-1: no new host before 2027-01-15 08:05:00 UTC, as the last one was lost: it did not")


@pytest.mark.parametrize(
    ("state", "status", "left", "served"),
    [
        (State.WAKING, RUNNING, 0, False),
        (State.SERVING, OFF, 100, True),
        (State.SILENT, RUNNING, 1, True),
        (State.SERVING, RUNNING, 0, None),  # nobody was there to renew its lease: it is not the host's fault
        (State.BAKING, RUNNING, 0, None),
        (State.SERVING, RUNNING, 100, None),
    ],
)
def test_what_counts_as_lost(
    fleet: Fleet, project: Project, state: State, status: str, left: int, served: bool | None
) -> None:
    project.add("gpu-1", project.lease(state=state, left=left), status=status)
    project.add("gpu-2", project.lease("nowhere", State.WAKING))
    loss = loss_of(decide(fleet, AWAKE, look(project)), NOW)
    assert (loss and loss.served) == served


def test_while_an_image_is_baked_nobody_is_told_that_there_is_none(decided: Decided, project: Project) -> None:
    bake = project.add("gpu-bake", project.lease("gpu-bake", State.BAKING))
    assert decided(AWAKE) == []
    project.servers[bake.id] = replace(bake, labels=project.lease("gpu-bake", State.BAKING, left=0))
    swept, lack = decided(AWAKE)
    assert swept == "gpu-bake: delete at once, its lease ended 0 s ago"
    assert lack.startswith("gpu-1: no golden image carries the fingerprint")


def test_whatever_has_no_valid_lease_is_swept(decided: Decided, project: Project) -> None:
    project.add("stray", {})
    project.add("lapsed", project.lease("gpu-2", left=-5))
    project.add("broken", {**project.lease(), UNTIL: "soon"})
    project.add("placeless", project.lease("gpu-9"))
    project.add("long", project.lease("gpu-bake", State.BAKING, left=24 * 3600 + 1))
    missing = ", ".join(f"parrotpark-{name}" for name in ("role", "slot", "state", "maker", "fingerprint", "until"))
    assert decided(Wish(0)) == [
        f"stray: delete at once, no lease: label {missing} is missing",
        "lapsed: delete at once, its lease ended 5 s ago",
        "broken: delete at once, label parrotpark-until is 'soon', not epoch seconds",
        "placeless: delete at once, there is no slot gpu-9",
        "long: delete at once, its lease ends more than a day from now",
    ]


def test_a_server_that_bakes_is_left_alone(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-bake", project.lease("gpu-bake", State.BAKING))
    assert decided(Wish(0)) == []
    assert decided(AWAKE) == ["gpu-1: create from the golden image"]


def test_leftovers_go(decided: Decided, project: Project) -> None:
    project.leftovers["7"] = Leftover("address", "7", "gpu", "192.0.2.9", NOW - 601)
    assert decided(Wish(0)) == ["address 192.0.2.9: delete, no server uses it"]


def test_of_two_servers_in_a_slot_the_serving_then_the_older_one_stays(decided: Decided, project: Project) -> None:
    project.add("first", project.lease(state=State.WAKING))  # its id is 8
    project.add("second", project.lease())
    project.add("third", project.lease())  # its id is 10: a text that sorts before 9
    assert decided(AWAKE, "gpu-1") == [
        "first: delete at once, gpu-1 has another server already",
        "third: delete at once, gpu-1 has another server already",
    ]


def test_too_many_are_drained_the_highest_slot_first(decided: Decided, project: Project) -> None:
    for slot in ("gpu-2", "gpu-3", "gpu-1"):
        project.add(slot, project.lease(slot))
    assert decided(AWAKE, "gpu-1", "gpu-2", "gpu-3") == [
        "gpu-3: drain and delete, it is not wished for",
        "gpu-2: drain and delete, it is not wished for",
    ]
    assert len(decided(Wish(0), "gpu-1", "gpu-2", "gpu-3")) == 3


def test_one_that_serves_is_rather_kept_than_one_that_does_not_yet(decided: Decided, project: Project) -> None:
    project.add("gpu-1", project.lease("gpu-1", State.WAKING))
    project.add("gpu-2", project.lease("gpu-2"))
    assert decided(AWAKE, "gpu-2") == ["gpu-1: drain and delete, it is not wished for"]


def test_a_host_in_a_higher_slot_is_as_good(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-3", project.lease("gpu-3"))
    assert decided(AWAKE, "gpu-3") == []


def test_more_hosts_than_slots_are_never_made(decided: Decided, project: Project) -> None:
    project.save()
    assert len(decided(Wish(9))) == 3


def test_a_stale_host_serves_on_until_there_is_an_image(decided: Decided, project: Project) -> None:
    project.add("gpu-1", project.lease(fingerprint=OLD, left=100))
    assert decided(AWAKE, "gpu-1") == ["gpu-1: renew its lease"]
    project.save()
    assert decided(AWAKE, "gpu-1") == [
        "gpu-1: drain and delete, it is not of the current image",
        "gpu-1: create from the golden image",
    ]


def test_stale_hosts_that_serve_are_replaced_one_at_a_time(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease("gpu-1", fingerprint=OLD))
    project.add("gpu-2", project.lease("gpu-2", fingerprint=OLD))
    both = decided(Wish(2), "gpu-1", "gpu-2")
    assert both == ["gpu-1: drain and delete, it is not of the current image", "gpu-1: create from the golden image"]
    assert decided(Wish(3), "gpu-1", "gpu-2") == ["gpu-3: create from the golden image"]
    assert decided(Wish(2), "gpu-2") == both  # the one that serves nobody goes first


def test_leases_come_before_anything_that_takes_long(decided: Decided, project: Project) -> None:
    project.save()
    project.add("gpu-1", project.lease("gpu-1", left=100))
    project.add("stray", {})
    assert [line.split(":")[0] for line in decided(Wish(2), "gpu-1")] == ["gpu-1", "stray", "gpu-2"]


def test_what_the_cloud_may_just_have_made_for_a_server_stays(decided: Decided, fleet: Fleet, project: Project) -> None:
    project.leftovers["7"] = Leftover("address", "7", "gpu", "192.0.2.9", NOW - 600)
    assert decided(Wish(0)) == []
    assert sweep(fleet, look(project)) == ()


def test_the_project_of_the_entry_server_is_not_touched(fleet: Fleet, project: Project) -> None:
    project.add("entry-server", {ROLE: "entry"})
    project.add("stray", {})
    refusal = "cloud gpu is the project of entry-server, whose role is entry: give the GPU hosts"
    with pytest.raises(WrongProject, match=refusal):
        decide(fleet, AWAKE, look(project))
    with pytest.raises(WrongProject, match=refusal):
        sweep(fleet, look(project))


def test_a_sweep_asks_for_no_wish(fleet: Fleet, project: Project) -> None:
    project.add("stray", {STATE: "serving"})
    project.add("gpu-1", project.lease())
    project.leftovers["7"] = Leftover("volume", "7", "gpu", "data", NOW - 601)
    swept: tuple[Action, ...] = sweep(fleet, look(project))
    assert [str(action).split(",")[0] for action in swept] == ["stray: delete at once", "volume data: delete"]


servers = st.builds(
    lambda id_, cloud, slot, state, fingerprint, left, status: Server(
        id=str(id_),
        name=f"{slot}-{id_}",
        status=status,
        cloud=cloud,
        location="fsn1",
        server_type="gpu-l4",
        image=None,
        ipv4=None,
        ipv6=None,
        labels=Lease("gpu", slot, state, "x", fingerprint, NOW + left).labels() if slot else {},
        created=NOW,
    ),
    st.integers(1, 6),
    st.sampled_from(["gpu", "other"]),
    st.sampled_from(["gpu-1", "gpu-2", "gpu-3", "gpu-4", ""]),
    st.sampled_from([State.WAKING, State.SERVING, State.SILENT]),
    st.sampled_from(["a" * 32, OLD]),
    st.integers(-100, 2000),
    st.sampled_from([OFF, RUNNING]),
)
sets_of_losses = st.lists(
    st.builds(Loss, st.integers(NOW - 9000, NOW), st.booleans(), st.just("lost")), max_size=6
).map(lambda losses: sorted(losses, key=lambda loss: loss.at))
sets_of_servers = st.lists(servers, max_size=6, unique_by=lambda server: server.key)


@given(
    sets_of_servers,
    st.sets(st.sampled_from(["gpu-1", "gpu-2", "gpu-3"])),
    st.sampled_from([None, 0, 1, 2, 3]),
    st.booleans(),
    sets_of_losses,
)
def test_whatever_is_there_no_server_is_asked_for_two_things_and_the_slots_come_out_right(
    world: World, found: list[Server], ready: set[str], hosts: int | None, with_image: bool, losses: list[Loss]
) -> None:
    project, (controller,) = world(1)
    fleet, image = controller.fleet, project.save()
    seen = Seen(NOW, found, [image] if with_image else [], [], frozenset(ready), losses, PATIENCE)
    actions = decide(fleet, Wish(hosts), seen)
    touched = [action.server.key for action in actions if not isinstance(action, Create | Shortfall | Remove)]
    assert len(touched) == len(set(touched))
    gone = {action.server.key for action in actions if isinstance(action, Sweep | Delete)}
    stay = [server.labels["parrotpark-slot"] for server in found if server.key not in gone]
    come = [action.slot.name for action in actions if isinstance(action, Create | Shortfall)]
    assert len({*stay, *come}) == len(stay) + len(come) == (1 if hosts is None else hosts)
