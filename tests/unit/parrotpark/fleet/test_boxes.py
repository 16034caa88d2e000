"""A box beside a cloud: it is used while it can be had, the cloud where it cannot, and nobody else is in its slot."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parrotpark.cloud import Cloud, Offer
from parrotpark.cloud.errors import OutOfCapacity
from parrotpark.cloud.static import StaticCloud
from parrotpark.fleet import verbs
from parrotpark.fleet.cli import main
from parrotpark.fleet.config import ConfigError, Fleet, load
from parrotpark.fleet.keep import Keeper
from parrotpark.shared.history import History
from parrotpark.shared.lease import FINGERPRINT, SLOT, STATE, UNTIL
from parrotpark.shared.progress import Progress
from parrotpark.shared.wish import ASLEEP, Wish
from tests.unit.parrotpark.fleet.conftest import (
    ENDPOINT,
    HERE,
    OLD,
    THERE,
    WANTED,
    Controller,
    Project,
    SimulatedClock,
    config,
)

ATTIC = Offer("home", "attic", "static")
HOME: dict[str, Any] = {"name": "home", "provider": "static", "hosts": [{"name": "attic", "slot": "gpu-1"}]}
CLOUD = {"name": "gpu", "provider": "hetzner", "endpoint": "http://127.0.0.1:9/v1"}
OFFERS = [asdict(ATTIC), asdict(HERE), asdict(THERE)]
LOADING = 20  # seconds from the start of the models until they answer


class Home(Controller):
    """An entry server with a cloud, and a box that follows its lease as its dead-man makes it."""

    def __init__(self, fleet: Fleet, project: Project) -> None:
        super().__init__(fleet, project)
        self.broken = False
        self.busy = False
        self.serves_since: float | None = None
        self.heard = 0
        self.starts = 0

    @property
    def boxes(self) -> StaticCloud:
        return StaticCloud(self.fleet.clouds[0], waken=self._waken, now=self.clock.now)

    @property
    def keeper(self) -> Keeper:
        progress = Progress(self.clock, History(self.fleet.state_dir / "history.jsonl"), self.lines.append)
        clouds: list[Cloud] = [self.boxes, self.cloud]
        return Keeper(self.fleet, clouds, self.clock, self.gate, self.probe, progress)

    def _waken(self, _: object) -> None:
        if self.busy:
            raise OutOfCapacity("box attic: its wake_command says: somebody plays")

    def _answers(self, address: str) -> bool:
        if address != self.fleet.slots[0].address:
            return super()._answers(address)
        self.follow()
        return self.serves_since is not None and self.clock.now() >= self.serves_since + LOADING

    def follow(self) -> None:
        self.heard = self.told().get("gpu-1", self.heard)  # without an answer the last one holds
        if self.heard <= self.clock.now() or self.broken:
            self.serves_since = None
        elif self.serves_since is None:
            self.serves_since = self.clock.now()
            self.starts += 1

    def keeps(self, seconds: int) -> None:
        """Let the timer do its work for so long."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            verbs.keep(self.keeper)
            self.clock.sleep(30)
            self.follow()

    def places(self) -> dict[str, str]:
        """Say in which cloud each slot has a server; there is never more than one."""
        servers = [*self.boxes.servers({}), *self.project.servers.values()]
        slots = [server.labels[SLOT] for server in servers]
        assert len(set(slots)) == len(slots), slots
        return {server.labels[SLOT]: server.cloud for server in servers}


def home_in(folder: Path, provisioned: str | None = WANTED, golden: str | None = WANTED, **changes: Any) -> Home:
    values: dict[str, Any] = {"clouds": [HOME, CLOUD], "offers": OFFERS, **changes}
    home = Home(load(config(folder, **values)), Project(SimulatedClock()))
    if provisioned:
        home.boxes.provisioned("attic", provisioned)
    if golden:
        home.project.save(golden)
    return home


@pytest.fixture(scope="module", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Hours go by here, and every minute is written down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


def test_a_wake_takes_the_box_and_tells_it_at_once(home: Home) -> None:
    home.wish("awake")
    verbs.keep(home.keeper)
    (box,) = home.boxes.servers({})
    assert home.told() == {"gpu-1": int(box.labels[UNTIL])}
    assert verbs.fulfil(home.keeper, Wish(None)).changed
    assert home.places() == {"gpu-1": "home"}
    assert not verbs.fulfil(home.keeper, Wish(None)).changed
    home.keeps(7200)
    assert (home.places(), home.starts) == ({"gpu-1": "home"}, 1)


def test_a_sleep_lets_running_answers_end_before_the_box_hears_of_it(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(None))
    home.gate.answering_until = home.clock.now() + 40
    heard: list[int] = []
    close = home.gate.close

    def watched(addresses: Collection[str]) -> None:
        close(addresses)
        if addresses:
            assert addresses == {home.fleet.slots[0].address}
            heard.append(home.told()["gpu-1"])

    home.gate.close = watched  # type: ignore[method-assign]
    assert verbs.fulfil(home.keeper, ASLEEP).changed
    assert heard[0] > home.clock.now()
    assert (home.places(), home.told()) == ({}, {"gpu-1": 0})


def test_more_hosts_than_boxes_are_made_in_the_cloud_and_never_in_the_slot_of_a_box(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(3))
    assert home.places() == {"gpu-1": "home", "gpu-2": "gpu", "gpu-3": "gpu"}
    verbs.fulfil(home.keeper, Wish(1))
    assert home.places() == {"gpu-1": "home"}


def test_the_order_of_the_offers_decides_which_is_liked_better(tmp_path: Path) -> None:
    home = home_in(tmp_path, offers=[asdict(HERE), asdict(ATTIC)])
    verbs.fulfil(home.keeper, Wish(1))
    assert home.places() == {"gpu-2": "gpu"}
    home.project.refusals[HERE] = OutOfCapacity("sold out")
    verbs.fulfil(home.keeper, Wish(2))
    assert home.places() == {"gpu-1": "home", "gpu-2": "gpu"}
    verbs.fulfil(home.keeper, Wish(1))
    assert home.places() == {"gpu-2": "gpu"}


def test_a_busy_box_is_replaced_by_the_cloud_in_the_same_step(home: Home) -> None:
    home.busy = True
    verbs.fulfil(home.keeper, Wish(None))
    assert home.places() == {"gpu-2": "gpu"}
    assert any("gpu-2: create there, as none can be had for gpu-1" in line for line in home.lines)
    home.busy = False
    home.keeps(3600)
    assert home.places() == {"gpu-2": "gpu"}  # who has a host keeps it
    verbs.fulfil(home.keeper, ASLEEP)
    verbs.fulfil(home.keeper, Wish(None))
    assert home.places() == {"gpu-1": "home"}


def test_where_the_cloud_has_none_either_both_reasons_are_given(home: Home) -> None:
    home.busy = True
    home.project.refusals = {HERE: OutOfCapacity("sold out"), THERE: OutOfCapacity("sold out, too")}
    with pytest.raises(OutOfCapacity) as caught:
        verbs.fulfil(home.keeper, Wish(None))
    assert all(reason in str(caught.value) for reason in ("somebody plays", "sold out;", "sold out, too"))
    assert home.places() == {}


def test_a_box_that_never_serves_is_given_up_for_the_cloud(home: Home) -> None:
    home.broken = True
    home.wish("awake")
    home.keeps(900)
    assert home.places() == {"gpu-1": "home"}
    home.keeps(120)
    assert (home.places(), home.told()["gpu-1"]) == ({"gpu-2": "gpu"}, 0)
    assert home.project.named("gpu-2").labels[STATE] == "serving"
    home.keeps(7200)
    assert (home.places(), home.project.made) == ({"gpu-2": "gpu"}, 1)


def test_a_box_that_stops_answering_is_given_up_within_minutes(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(None))
    home.broken = True
    home.keeps(150)
    assert home.places() == {"gpu-2": "gpu"}


def test_where_a_host_was_lost_none_is_tried_for_a_while(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(None))
    home.broken = True
    home.keeps(150)
    home.broken = False
    home.project.servers.clear()  # by somebody's hand
    home.keeps(60)
    assert home.places() == {"gpu-2": "gpu"}
    home.keeps(600)
    home.project.servers.clear()
    home.keeps(60)
    assert home.places() == {"gpu-1": "home"}


def test_without_a_cloud_a_lost_box_is_tried_again(tmp_path: Path) -> None:
    home = home_in(tmp_path, clouds=[HOME | {"hosts": hosts(3)}], offers=[asdict(offer) for offer in boxes(3)])
    for name in ("attic-2", "attic-3"):
        home.boxes.provisioned(name, OLD)
    verbs.fulfil(home.keeper, Wish(None))
    home.broken = True
    home.keeps(600)
    home.broken = False
    home.keeps(1800)
    assert home.places() == {"gpu-1": "home"}
    assert home.boxes.servers({})[0].labels[STATE] == "serving"


def hosts(number: int) -> list[dict[str, str]]:
    return [*HOME["hosts"], *({"name": f"attic-{n}", "slot": f"gpu-{n}"} for n in range(2, number + 1))]


def boxes(number: int) -> list[Offer]:
    return [Offer("home", host["name"], "static") for host in hosts(number)]


def test_a_box_that_was_provisioned_anew_is_released_and_claimed_without_a_restart(tmp_path: Path) -> None:
    home = home_in(tmp_path, provisioned=OLD, golden=None, fingerprint=OLD)
    verbs.fulfil(home.keeper, Wish(None))
    home.fleet = home_in(tmp_path, provisioned=None, golden=None).fleet  # wants another fingerprint now
    home.keeps(300)
    (server,) = home.boxes.servers({})
    assert server.labels[FINGERPRINT] == OLD  # it is not there yet, so what serves goes on
    home.boxes.provisioned("attic", WANTED)
    verbs.fulfil(home.keeper, Wish(None))
    (server,) = home.boxes.servers({})
    assert (server.labels[FINGERPRINT], server.labels[STATE]) == (WANTED, "serving")
    assert home.starts == 1


def test_a_box_that_is_not_provisioned_is_passed_over(tmp_path: Path) -> None:
    home = home_in(tmp_path, provisioned=OLD)
    verbs.fulfil(home.keeper, Wish(None))
    assert home.places() == {"gpu-2": "gpu"}


def test_of_several_boxes_the_one_that_is_provisioned_is_taken(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "clouds": [HOME | {"hosts": hosts(3)}, CLOUD],
        "offers": [asdict(offer) for offer in boxes(3)],
    }
    home = home_in(tmp_path, provisioned=None, **values)
    for name, fingerprint in (("attic-2", OLD), ("attic-3", WANTED)):
        home.boxes.provisioned(name, fingerprint)
    home.wish("awake")
    verbs.keep(home.keeper)
    assert home.places() == {"gpu-3": "home"}


def test_an_entry_server_that_was_made_anew_knows_its_boxes(home: Home) -> None:
    """What is in /run and on the system's disk is gone; the data volume is there."""
    verbs.fulfil(home.keeper, Wish(None))
    for folder in (home.fleet.leases_dir, home.fleet.state_dir):
        for file in folder.glob("*"):
            file.unlink()
    home.follow()
    home.keeps(300)
    assert (home.places(), home.starts) == ({"gpu-1": "home"}, 1)


def test_while_the_registry_makes_no_sense_the_box_goes_on_and_is_not_replaced(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(None))
    registry = Path(str(home.fleet.clouds[0].registry))
    whole, told = registry.read_text(), home.told()
    registry.write_text(whole[:-9])
    verbs.keep(home.keeper)
    assert (home.told(), home.project.made) == (told, 0)
    assert any("makes no sense" in line for line in home.lines)
    registry.write_text(whole)
    home.keeps(300)
    assert (home.places(), home.starts) == ({"gpu-1": "home"}, 1)


EVENTS = st.sampled_from(
    ["awake 1", "awake 2", "awake 3", "asleep", "broken", "fixed", "busy", "free", "sold out", "restocked", "later"]
)


@settings(max_examples=10, deadline=None)
@given(st.lists(EVENTS, max_size=8))
def test_whatever_happened_in_the_end_the_wish_is_fulfilled(
    tmp_path_factory: pytest.TempPathFactory, events: list[str]
) -> None:
    home = home_in(tmp_path_factory.mktemp("home"))
    home.wish("asleep")
    for event in [*events, "fixed", "free", "restocked"]:
        match event:
            case "broken" | "fixed":
                home.broken = event == "broken"
            case "busy" | "free":
                home.busy = event == "busy"
            case "sold out":
                home.project.refusals = {HERE: OutOfCapacity("none"), THERE: OutOfCapacity("none")}
            case "restocked":
                home.project.refusals = {}
            case "later":
                home.keeps(1200)
            case wish:
                home.wish(wish)
        home.keeps(90)
        assert home.places().get("gpu-1", "home") == "home"
        assert set(home.places().values()) <= {"home", "gpu"}
    verbs.fulfil(home.keeper, Wish(2))
    assert len(home.places()) == 2
    verbs.fulfil(home.keeper, ASLEEP)
    home.follow()
    assert (home.places(), home.serves_since) == ({}, None)


# ---- The configuration and the command --------------------------------------------------------------------------

BOX = {"name": "attic", "slot": "gpu-1"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hosts": []}, "clouds[0].hosts must be a list of one or more objects"),
        ({"hosts": [BOX | {"colour": "blue"}]}, "clouds[0].hosts[0].colour is unknown"),
        ({"hosts": [BOX | {"wake_mac": "02:00"}]}, "clouds[0].hosts[0].wake_mac must be an address of a network card, "
         "like 02:00:5e:10:00:01"),
        ({"hosts": [BOX | {"wake_command": "wake it"}]}, "clouds[0].hosts[0].wake_command must be a list of one or "
         "more of: a name"),
        ({"hosts": [BOX, BOX | {"slot": "gpu-2"}]}, "clouds: box attic is named twice"),
        ({"hosts": [BOX, {"name": "cellar", "slot": "gpu-1"}]}, "clouds: slot gpu-1 has two boxes"),
        ({"hosts": [BOX | {"slot": "gpu-9"}]}, "clouds: box attic is for slot gpu-9, which is none"),
        ({"hosts": [BOX, {"name": "cellar", "slot": "gpu-2"}]}, "offers: none is for gpu-2"),
        ({"offers": [*OFFERS, asdict(ATTIC) | {"location": "garage"}]}, "offers: there is no static in garage at home"),
        ({"offers": [asdict(ATTIC)]}, "offers: none is for gpu-2"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_boxes_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    found = dict(change)
    clouds = [HOME | {"hosts": found.pop("hosts", [BOX])}, CLOUD]
    values: dict[str, Any] = {"clouds": clouds, "offers": OFFERS, **found}
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, **values))
    assert caught.value.problems[0] == f"{tmp_path}/fleet.json: {problem}"


def test_what_make_wake_records_is_what_the_fleet_finds(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def record(box: str, fingerprint: str) -> tuple[int, str]:
        status = main(["provisioned", box, fingerprint, "--config", str(tmp_path / "fleet.json"), "--json"])
        said = capsys.readouterr()
        return status, said.out + said.err

    assert record("attic", WANTED) == (0, f"{json.dumps({'changed': False})}\n")
    assert record("attic", OLD) == (0, f"{json.dumps({'changed': True})}\n")
    assert [image.id for image in home.boxes.images({})] == [OLD]
    status, said = record("garage", WANTED)
    assert (status, said.count("\n")) == (1, 1)
    assert "garage is not a box of this installation" in said


def test_a_stable_endpoint_asks_the_box_too(home: Home) -> None:
    verbs.fulfil(home.keeper, Wish(None))
    assert home.probe([ENDPOINT], (8001, 8002)) == {ENDPOINT}
