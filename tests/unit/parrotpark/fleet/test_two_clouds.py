"""A second cloud serves where the first has nothing, and neither holds the other up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Account, Offer
from parrotpark.cloud.errors import AuthFailed, CloudError, OutOfCapacity, QuotaExceeded, RateLimited, Transient
from parrotpark.fleet import verbs
from parrotpark.fleet.attempts import REST, Attempts
from parrotpark.fleet.errors import NotReached
from parrotpark.fleet.keep import Keeper
from parrotpark.fleet.status import status
from parrotpark.fleet.whereabouts import Whereabout, Whereabouts
from parrotpark.shared.history import History
from parrotpark.shared.progress import Progress
from parrotpark.shared.wish import ASLEEP, Wish
from tests.unit.parrotpark.fleet.conftest import TERM, Controller, Project, SimulatedClock, SimulatedCloud

if TYPE_CHECKING:
    from parrotpark.fleet.config import Fleet

AWAKE = Wish.parse("awake")
FIRST, SECOND = Offer("first", "fsn1", "gpu-l4"), Offer("second", "nbg1", "gpu-l4")


class Silent(SimulatedCloud):
    """A cloud that answers nothing while it has an error."""

    error: CloudError | None = None

    def _call(self, name, act, half=lambda: None):  # type: ignore[no-untyped-def]  # as its parent's
        if self.error:
            raise self.error
        return super()._call(name, act, half)


class Two:
    """An entry server with two clouds."""

    def __init__(self, fleet: Fleet) -> None:
        clock = SimulatedClock()
        self.first, self.second = Project(clock, name="first"), Project(clock, name="second")
        self.clouds = [Silent(self.first), Silent(self.second)]
        self.fleet = replace(
            fleet,
            clouds=tuple(Account(name, "hetzner", f"/{name}") for name in ("first", "second")),
            offers=(FIRST, SECOND),
        )
        self.hosts = Controller(self.fleet, self.first)
        self.clock = clock
        self.first.save()
        self.second.save()

    @property
    def keeper(self) -> Keeper:
        progress = Progress(self.clock, History(self.fleet.state_dir / "history.jsonl"), self.hosts.lines.append)
        return Keeper(self.fleet, self.clouds, self.clock, self.hosts.gate, self._probe, progress)

    def _probe(self, addresses, ports):  # type: ignore[no-untyped-def]  # as `Keeper` has it
        second = Controller(self.fleet, self.second)
        return self.hosts.probe(addresses, ports) | second.probe(addresses, ports)

    def wake(self) -> verbs.Report:
        return verbs.fulfil(self.keeper, AWAKE)

    def names(self) -> tuple[list[str], list[str]]:
        return self.first.names(), self.second.names()

    def lines(self) -> list[str]:
        return status(self.fleet, AWAKE, self.keeper.look()).lines()


@pytest.fixture
def two(fleet: Fleet) -> Two:
    return Two(fleet)


def test_the_first_serves_while_it_can(two: Two) -> None:
    two.wake()
    assert two.names() == (["gpu-1"], [])


@pytest.mark.parametrize("refusal", [OutOfCapacity("sold out"), QuotaExceeded("limit reached")])
def test_where_the_first_has_nothing_the_second_serves_and_people_see_why(two: Two, refusal: CloudError) -> None:
    two.first.refusals[FIRST] = refusal
    two.wake()
    assert two.names() == ([], ["gpu-1"])
    tried = two.lines()[-3:]
    assert tried[0] == "tried of late, oldest first:"
    assert str(refusal) in tried[1]
    assert "gpu-l4 in nbg1 at second" in tried[2]


def test_without_an_image_there_only_the_other_is_asked(two: Two) -> None:
    two.first.images.clear()
    two.wake()
    assert two.names() == ([], ["gpu-1"])
    assert not [call for call in two.clouds[0].calls if call.startswith("create")]
    assert "image current, but none at first: make wake on the control machine bakes it there" in two.lines()[0]


def test_an_offer_that_could_not_be_had_rests_for_a_while(two: Two) -> None:
    two.first.refusals[FIRST] = OutOfCapacity("sold out")
    two.hosts.wish("awake 2")
    two.keeper.keep(Wish(2))
    assert len([call for call in two.clouds[0].calls if call.startswith("create")]) == 1  # not for the second host
    two.first.refusals.clear()
    two.keeper.keep(Wish(3))
    assert two.names() == ([], ["gpu-1", "gpu-2", "gpu-3"])
    two.second.servers.clear()
    two.clock.sleep(REST)
    two.keeper.keep(AWAKE)
    assert two.names() == (["gpu-1"], [])


def test_if_all_rest_all_are_tried_again(two: Two) -> None:
    two.first.refusals[FIRST] = two.second.refusals[SECOND] = OutOfCapacity("sold out")
    two.keeper.keep(AWAKE)
    two.first.refusals.clear()
    two.keeper.keep(AWAKE)
    assert two.names() == (["gpu-1"], [])


@pytest.mark.parametrize("error", [Transient("away"), AuthFailed("check the token"), RateLimited("too many calls")])
def test_one_that_cannot_be_asked_is_named_and_the_other_serves(two: Two, error: CloudError) -> None:
    two.clouds[0].error = error
    two.wake()
    assert two.names() == ([], ["gpu-1"])
    assert f"cloud first cannot be asked: {error}" in two.lines()
    assert any(f"cloud first cannot be asked: {error}" in line for line in two.hosts.lines)


def test_no_second_host_is_made_while_the_first_may_live_in_a_silent_cloud(two: Two) -> None:
    two.wake()
    two.clouds[0].error = Transient("away")
    for _ in range(2):
        two.keeper.keep(AWAKE)
        assert two.names() == (["gpu-1"], [])
    two.keeper.keep(Wish(2))
    assert two.names() == (["gpu-1"], ["gpu-2"])  # not one more gpu-1
    two.clock.sleep(TERM + 1)
    two.keeper.keep(AWAKE)
    assert two.names() == (["gpu-1"], ["gpu-1"])  # its own dead-man has ended the first by now; gpu-2 never served
    two.clouds[0].error = None
    two.keeper.keep(AWAKE)
    assert two.names() == ([], ["gpu-1"])


def test_a_host_that_serves_is_upheld_while_the_other_cloud_is_away(two: Two) -> None:
    two.wake()
    two.clouds[1].error = Transient("away")
    for _ in range(TERM // 30 * 3):
        two.clock.sleep(30)
        two.keeper.keep(AWAKE)
    assert two.names() == (["gpu-1"], [])
    assert two.first.made == 1


@pytest.mark.parametrize("woken", [True, False])
def test_sleep_is_not_over_while_a_cloud_cannot_say_that_nothing_is_there(two: Two, woken: bool) -> None:
    if woken:
        two.wake()
    two.clouds[0].error = Transient("away")
    with pytest.raises(NotReached, match="cloud first cannot be asked: away"):
        verbs.fulfil(two.keeper, ASLEEP)


def test_if_none_can_be_asked_the_run_fails(two: Two) -> None:
    two.clouds[0].error = two.clouds[1].error = Transient("away")
    with pytest.raises(Transient, match="away"):
        two.keeper.keep(AWAKE)


def test_twins_in_two_clouds_are_told_apart_and_the_younger_goes(two: Two) -> None:
    two.second.servers.clear()
    two.second.add("gpu-1", two.second.lease())
    two.clock.sleep(60)
    two.first.add("gpu-1", two.first.lease())
    assert next(iter(two.first.servers)) == next(iter(two.second.servers))  # the same id
    two.keeper.keep(AWAKE)
    assert two.names() == ([], ["gpu-1"])


@pytest.mark.parametrize("text", ["", "{", "7", "[7]", '{"gpu-1": 7}', '[{"offer": {}}]'])
def test_files_that_make_no_sense_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert Attempts(tmp_path / "file").read() == ()
    assert Whereabouts(tmp_path / "file").read() == {}
    Whereabouts(tmp_path / "file").write({"gpu-1": Whereabout(("first",), 7)})
    assert Whereabouts(tmp_path / "file").read() == {"gpu-1": Whereabout(("first",), 7)}
