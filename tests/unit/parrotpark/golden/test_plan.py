"""The golden image: chosen, explained, made and pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.cloud import Image
from parrotpark.cloud.errors import NotFound
from parrotpark.golden import bake_server, images
from parrotpark.golden.fingerprint import Fingerprint
from parrotpark.golden.images import current, current_by_cloud
from parrotpark.golden.plan import (
    carry_out,
    describe,
    labels,
    surplus,
    to_finish,
    to_make,
    wakes_from,
    wanted,
    why_stale,
)
from parrotpark.shared.lease import Lease, State
from parrotpark.shared.wish import Wish

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

NEW = Fingerprint("b" * 32, {"vllm": "1" * 12, "models": "2" * 12})
OLD = Fingerprint("a" * 32, {"vllm": "0" * 12, "models": "2" * 12})


def image(id_: str, fingerprint: Fingerprint = NEW, created: int = 0, cloud: str = "here") -> Image:
    return Image(id_, cloud, "golden", created, labels(fingerprint))


def bake(cloud: FakeCloud, fingerprint: Fingerprint = NEW, state: State = State.BAKING) -> None:
    cloud.add("gpu-bake", Lease("gpu", "gpu-bake", state, "me", fingerprint.whole, 1_800_000_000).labels())


def make(cloud: FakeCloud) -> Image:
    return carry_out(cloud, to_make(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW), NEW)


def finish(cloud: FakeCloud) -> bool:
    """Say whether there was the image."""
    plan = to_finish(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW)
    return plan is not None and carry_out(cloud, plan, NEW) == plan.image


def test_the_newest_image_of_the_fingerprint_is_current() -> None:
    old, first, second = image("1", OLD, created=9), image("2", created=1), image("3", created=2)
    assert current([old, first, second], NEW.whole) == second
    assert current([old], NEW.whole) is None
    assert current([Image("4", "here", "somebody's", 0, {})], NEW.whole) is None


def test_it_is_said_why_there_is_none() -> None:
    assert why_stale([], NEW) == "there is none yet"
    assert describe({"here": []}, NEW) == "stale: there is none yet"
    assert describe({"here": [image("1", OLD)]}, NEW) == "stale: because vllm changed"
    unknown = Image("1", "here", "", 0, {})
    assert describe({"here": [unknown, image("2", OLD, created=1)]}, NEW) == "stale: because vllm changed"
    assert describe({"here": [image("1", OLD), image("2")]}, NEW) == "image current"


def test_it_is_said_which_clouds_have_none() -> None:
    here, there = [image("1")], [image("1", OLD, created=9, cloud="there")]
    assert describe({"here": here, "there": there, "far": []}, NEW) == "image current, but none at there, far"
    assert describe({"here": here, "there": [image("2", cloud="there")]}, NEW) == "image current"
    assert describe({"there": there, "far": []}, NEW) == "stale: because vllm changed"
    assert describe({"here": [], "there": []}, NEW) == "stale: there is none yet"


def test_every_cloud_has_a_current_image_of_its_own() -> None:
    found = [image("1", OLD, 9), image("2", created=1), image("3", created=2), image("2", created=3, cloud="there")]
    assert current_by_cloud([*found, image("4", OLD, 9, "far")], NEW.whole) == {"here": found[2], "there": found[3]}


some_images = st.lists(
    st.builds(image, st.sampled_from("abcdef"), st.sampled_from([OLD, NEW]), st.integers(0, 3)),
    unique_by=lambda image: image.id,
)


@given(some_images)
def test_the_current_image_is_never_pruned_and_nothing_is_before_there_is_one(found: list[Image]) -> None:
    now = current(found, NEW.whole)
    pruned = surplus(found, now)
    assert now not in pruned
    assert len(pruned) == (len(found) - 1 if now else 0)


def test_the_image_is_made_before_anything_is_deleted(cloud: FakeCloud) -> None:
    old = cloud.save(labels(OLD))
    bake(cloud)
    made = make(cloud)
    assert cloud.calls == ["snapshot gpu-bake", "delete gpu-bake"]
    assert (made.labels, list(cloud.saved)) == (labels(NEW), [old.id, made.id])
    assert not to_make(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW).changes


def test_what_the_image_makes_superfluous_goes(cloud: FakeCloud) -> None:
    old, made = cloud.save(labels(OLD)), cloud.save(labels(NEW))
    bake(cloud)
    assert finish(cloud)
    assert cloud.calls == ["delete gpu-bake", f"delete image {old.id}"]
    assert list(cloud.saved) == [made.id]
    plan = to_finish(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW)
    assert plan is not None
    assert not plan.changes


def test_before_there_is_the_image_nothing_is_superfluous(cloud: FakeCloud) -> None:
    cloud.save(labels(OLD))
    bake(cloud)
    assert not finish(cloud)
    assert cloud.calls == []


def test_an_image_that_is_there_is_not_made_again(cloud: FakeCloud) -> None:
    made = cloud.save(labels(NEW))
    bake(cloud)
    assert make(cloud) == made
    assert cloud.calls == ["delete gpu-bake"]


@pytest.mark.parametrize(("fingerprint", "state"), [(OLD, State.BAKING), (NEW, State.WAKING), (NEW, State.SERVING)])
def test_a_host_that_has_joined_or_was_made_from_something_else_becomes_no_image(
    cloud: FakeCloud, fingerprint: Fingerprint, state: State
) -> None:
    cloud.save(labels(OLD))
    bake(cloud, fingerprint, state)
    with pytest.raises(NotFound, match=r"there is no server that was baked from fingerprint b+: bake again"):
        make(cloud)
    assert cloud.calls == []


@pytest.mark.parametrize(("fingerprint", "state"), [(OLD, State.BAKING), (NEW, State.SERVING)])
def test_such_a_host_is_not_deleted_either(cloud: FakeCloud, fingerprint: Fingerprint, state: State) -> None:
    cloud.save(labels(NEW))
    bake(cloud, fingerprint, state)
    make(cloud)
    assert finish(cloud)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("wish", "run_tags", "skip_tags", "is_wanted"),
    [
        ("awake", ["all"], [], True),
        ("awake 2", ["all"], [], True),
        ("asleep", ["all"], [], False),
        ("awake", ["vllm"], [], False),
        ("awake", ["all"], ["vllm"], False),
    ],
)
def test_an_image_is_made_for_hosts_that_shall_serve_and_whole(
    wish: str, run_tags: list[str], skip_tags: list[str], is_wanted: bool
) -> None:
    assert wanted(Wish.parse(wish), run_tags, skip_tags) is is_wanted


@pytest.mark.parametrize(
    ("newest", "is_current", "baked", "chosen"),
    [
        ("old", True, False, "new"),
        ("old", False, True, "new"),
        ("old", False, False, "old"),
        (None, False, False, "new"),  # the scheduler says that there is none
    ],
)
def test_hosts_are_made_from_the_image_there_is(newest: str | None, is_current: bool, baked: bool, chosen: str) -> None:
    assert wakes_from("new", newest, current=is_current, baked=baked) == chosen
