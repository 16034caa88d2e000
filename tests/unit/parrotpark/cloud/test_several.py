"""Several clouds are as one: lists are of all, and what is done is done in the cloud where a thing belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.cloud import Cloud, Furnishing, Leftover, Offer, Prospect, Server, ServerSpec, SeveralClouds
from parrotpark.cloud.errors import CloudError, InvalidRequest, Transient

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

NAMES = ("a", "b", "c")


@pytest.fixture
def clouds(make_cloud: Callable[[str], FakeCloud]) -> list[FakeCloud]:
    return [make_cloud(name) for name in NAMES]


@pytest.fixture
def several(clouds: list[FakeCloud]) -> SeveralClouds:
    several = SeveralClouds(clouds)
    _: Cloud = several  # mypy holds it to the protocol
    return several


def offer(cloud: str, location: str = "fsn1") -> Offer:
    return Offer(cloud, location, "gpu-l4")


def spec(cloud: str, location: str = "fsn1") -> ServerSpec:
    return ServerSpec(f"server-{cloud}", offer(cloud, location), "debian-13", {})


def test_what_is_done_is_done_where_a_thing_belongs(several: SeveralClouds, clouds: list[FakeCloud]) -> None:
    for cloud in clouds:
        cloud.add("host", {})  # of the same id in each
        cloud.unused["9"] = Leftover("volume", "9", cloud.name, "data", 0)
    made = several.create(spec("b"))
    several.relabel(made, {"key": "value"})
    image = several.snapshot(made, "golden", {})
    several.delete(made)
    several.delete_image(image)
    several.delete_leftover(clouds[1].unused["9"])
    a, b, c = clouds
    assert (a.calls, c.calls) == ([], [])
    assert b.calls == [
        "create server-b as gpu-l4 in fsn1 at b",
        "relabel server-b",
        "snapshot server-b",
        "delete server-b",
        f"delete image {image.id}",
        "delete volume data",
    ]
    assert [server.key for server in several.servers({})] == [("a", "1"), ("b", "1"), ("c", "1")]
    assert [leftover.cloud for leftover in several.leftovers()] == ["a", "c"]


@given(st.lists(st.sampled_from(NAMES)), st.sampled_from([{}, {"key": None}, {"key": "1"}]))
def test_lists_are_whole_and_of_images_the_newest_come_first(
    make_cloud: Callable[[str], FakeCloud], places: list[str], labels: dict[str, str | None]
) -> None:
    clouds = {name: make_cloud(name) for name in NAMES}
    for at, place in enumerate(places):
        clouds[place].save({"key": str(at % 2)}, created=at)
        clouds[place].add(f"host-{at}", {"key": str(at % 2)})
    several = SeveralClouds(clouds.values())
    wanted = [at for at in range(len(places)) if labels.get("key") in (None, str(at % 2))]
    found = [(image.created, image.cloud) for image in several.images(labels)]
    assert found == [(at, places[at]) for at in reversed(wanted)]
    servers: list[Server] = [*several.servers(labels)]
    assert sorted((server.name, server.cloud) for server in servers) == sorted(
        (f"host-{at}", places[at]) for at in wanted
    )
    assert len({server.key for server in servers}) == len(servers)


def test_each_cloud_checks_what_it_shall_make(several: SeveralClouds, clouds: list[FakeCloud]) -> None:
    mixed = [spec("b"), spec("a"), spec("b", "nbg1")]
    several.check(mixed)
    assert [cloud.checked for cloud in clouds] == [[mixed[1]], [mixed[0], mixed[2]], []]
    with pytest.raises(InvalidRequest, match="gpu-l4 in moon at b is unknown"):
        several.check([*mixed, spec("b", "moon")])


def test_all_are_furnished_and_it_is_said_where_something_changed(
    several: SeveralClouds, clouds: list[FakeCloud]
) -> None:
    wanted = Furnishing("deploy", "ssh-ed25519 A", "web", ())
    assert several.furnish(wanted, check=True) == tuple(f"{name}: firewall web made" for name in NAMES)
    assert [cloud.calls for cloud in clouds] == [["furnish web in a check"]] * 3
    several.furnish(wanted)
    assert [cloud.calls[1:] for cloud in clouds] == [["furnish web"]] * 3


def test_a_price_is_that_of_the_offers_cloud(several: SeveralClouds, clouds: list[FakeCloud]) -> None:
    clouds[1].prices[offer("b")] = 1.5
    assert [several.price(offer(name)) for name in NAMES] == [None, 1.5, None]


@pytest.mark.parametrize(
    "act",
    [
        lambda several, _: several.create(spec("moon")),
        lambda several, _: several.check([spec("a"), spec("moon")]),
        lambda several, _: several.price(offer("moon")),
        lambda several, _: several.delete_leftover(Leftover("volume", "9", "moon", "data", 0)),
        lambda several, stray: several.delete(stray.add("host", {})),
        lambda several, stray: several.delete_image(stray.save({})),
        lambda several, stray: several.snapshot(stray.add("host", {}), "golden", {}),
        lambda several, stray: several.relabel(stray.add("host", {}), {}),
    ],
)
def test_a_cloud_that_there_is_not_is_named_in_one_line(
    several: SeveralClouds, make_cloud: Callable[[str], FakeCloud], act: Callable[[SeveralClouds, FakeCloud], object]
) -> None:
    with pytest.raises(InvalidRequest, match=r"^cloud 'moon' is unknown; known: a, b, c$"):
        act(several, make_cloud("moon"))


@pytest.mark.parametrize("ask", ["servers", "images"])
def test_while_one_cannot_be_asked_nothing_is_known(
    several: SeveralClouds, clouds: list[FakeCloud], monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    def away(_: object) -> None:
        raise Transient("away")

    monkeypatch.setattr(clouds[1], ask, away)
    with pytest.raises(CloudError, match="away"):
        getattr(several, ask)({})


def test_each_cloud_tells_of_its_own_offers(several: SeveralClouds) -> None:
    told = several.prospect([offer("b"), offer("a"), offer("b", "nbg1")], 2)
    assert told.notes == ("a: note on 2 of gpu-l4", "b: note on 2 of gpu-l4, gpu-l4")
    assert told.faults == ("a: fault of 2 of gpu-l4", "b: fault of 2 of gpu-l4, gpu-l4")
    assert several.prospect([], 2) == Prospect()
    with pytest.raises(InvalidRequest, match="moon"):
        several.prospect([offer("moon")], 2)
