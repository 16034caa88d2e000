"""What every provider does behind `Cloud`, while nothing goes wrong but the request itself."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest

from parrotpark.cloud import OFF, RUNNING, Cloud, Server, ServerSpec, connect
from parrotpark.cloud.errors import AuthFailed, CloudError, InvalidRequest, NameTaken
from tests.unit.providers.life import (
    FURNISHING,
    GOLDEN,
    NEW,
    OTHER_FURNISHING,
    OURS,
    SECRET,
    USER_DATA,
    spec,
    tear_down,
)
from tests.unit.providers.stages import Stage

MINUTES = 300  # seconds, of which a test takes few


@pytest.fixture
def furnished(cloud: Cloud) -> Cloud:
    cloud.furnish(FURNISHING)
    return cloud


@pytest.fixture
def server(furnished: Cloud, stage: Stage) -> Server:
    return furnished.create(spec(stage))


def recent(created: int) -> bool:
    return time.time() - MINUTES < created <= time.time() + 1


def test_an_account_leads_to_its_cloud(stage: Stage) -> None:
    assert connect(stage.account).name == stage.cloud().name == stage.account.name == stage.offer.cloud


def test_a_project_is_furnished_as_is_said_before(cloud: Cloud) -> None:
    for wanted in (FURNISHING, OTHER_FURNISHING):
        changes = cloud.furnish(wanted, check=True)
        assert (len(changes), wanted.ssh_key in changes[0], wanted.firewall in changes[1]) == (2, True, True)
        assert cloud.furnish(wanted, check=True) == changes
        assert cloud.furnish(wanted) == changes
        assert not cloud.furnish(wanted, check=True)
        assert not cloud.furnish(wanted)


def test_a_rule_or_a_key_alone_is_changed(furnished: Cloud) -> None:
    key = replace(FURNISHING, public_key=OTHER_FURNISHING.public_key)
    (change,) = furnished.furnish(key)
    assert FURNISHING.ssh_key in change
    for rules in (FURNISHING.rules[:1], (), FURNISHING.rules[1:]):
        (change,) = furnished.furnish(replace(key, rules=rules))
        assert FURNISHING.firewall in change


def test_what_a_server_uses_can_be_furnished_anew(furnished: Cloud, server: Server, stage: Stage) -> None:
    assert len(furnished.furnish(OTHER_FURNISHING)) == 2
    assert furnished.create(spec(stage)) == server


def test_a_server_is_what_was_asked_for(furnished: Cloud, server: Server, stage: Stage) -> None:
    offer = stage.offer
    assert (server.cloud, server.location, server.server_type) == (offer.cloud, offer.location, offer.server_type)
    assert (server.name, server.status, dict(server.labels)) == ("bake", RUNNING, NEW)
    assert server.ipv4 or server.ipv6
    assert recent(server.created)
    wanted = spec(stage, "gpu-1")
    other = furnished.create(replace(wanted, offer=replace(offer, server_type=stage.other_type)))
    assert (other.name, other.server_type) == ("gpu-1", stage.other_type)
    assert len({server.id, other.id, server.ipv4, other.ipv4}) == 4


def test_servers_are_found_by_all_their_labels(furnished: Cloud, server: Server) -> None:
    state = "parrotpark-state"
    assert list(furnished.servers({OURS: "bake", state: "baking"})) == [server]
    assert list(furnished.servers({OURS: None, state: None})) == [server]
    assert list(furnished.servers({})) == [server]
    assert not furnished.servers({OURS: "gpu", state: None})
    assert not furnished.servers({OURS: "bak", state: "baking"})
    assert not furnished.servers({OURS: None, "other": None})


def test_a_server_is_made_once(furnished: Cloud, server: Server, stage: Stage) -> None:
    billed = stage.billed()
    assert furnished.create(spec(stage)) == server
    for labels in ({**NEW, "parrotpark-state": "baked"}, {OURS: "bake"}, {**NEW, "more": "labels"}):
        with pytest.raises(NameTaken, match="bake"):
            furnished.create(spec(stage, labels=labels))
    assert stage.billed() == billed


def test_relabelling_replaces_all_labels(furnished: Cloud, server: Server) -> None:
    relabelled = furnished.relabel(server, {OURS: "gpu", "new": "label"})
    assert dict(relabelled.labels) == {OURS: "gpu", "new": "label"}
    assert relabelled == replace(server, labels=relabelled.labels)
    assert list(furnished.servers({OURS: None})) == [relabelled]
    assert not furnished.servers({"parrotpark-state": None})


def test_an_image_is_made_once_of_a_server_that_is_off(furnished: Cloud, server: Server, stage: Stage) -> None:
    image = furnished.snapshot(server, "golden", GOLDEN)
    assert (image.cloud, image.description, dict(image.labels)) == (stage.account.name, "golden", GOLDEN)
    assert recent(image.created)
    (off,) = furnished.servers({})
    assert (off.id, off.status) == (server.id, OFF)
    billed = stage.billed()
    assert furnished.snapshot(server, "golden", GOLDEN) == image
    assert stage.billed() == billed
    assert list(furnished.images({})) == [image]


def test_images_come_newest_first_and_by_their_labels(furnished: Cloud, server: Server) -> None:
    first = furnished.snapshot(server, "golden", GOLDEN)
    time.sleep(1.1)  # the clocks of clouds count seconds
    second = furnished.snapshot(server, "golden", {**GOLDEN, "parrotpark-fingerprint": "other"})
    assert first.created < second.created
    assert list(furnished.images({OURS: None})) == [second, first]
    assert list(furnished.images({OURS: "gpu-image", "parrotpark-fingerprint": "other"})) == [second]
    assert list(furnished.images(GOLDEN)) == [first]
    assert not furnished.images({OURS: "gpu"})
    assert not furnished.images({"other": None})


def test_a_server_boots_from_an_image_that_may_go_then(furnished: Cloud, server: Server, stage: Stage) -> None:
    image = furnished.snapshot(server, "golden", GOLDEN)
    furnished.delete(server)
    wanted = spec(stage, "gpu-1", image=image.id)
    furnished.check([wanted])
    host = furnished.create(wanted)
    assert (host.status, host.image) == (RUNNING, image.id)
    furnished.delete_image(image)
    assert not furnished.images({})
    assert [each.id for each in furnished.servers({})] == [host.id]
    with pytest.raises(InvalidRequest, match=image.id):
        furnished.check([wanted])


def test_what_is_gone_can_be_deleted_again(furnished: Cloud, server: Server, stage: Stage) -> None:
    image = furnished.snapshot(server, "golden", GOLDEN)
    before = stage.billed()
    for _ in range(2):
        furnished.delete_image(image)
    assert stage.billed() < before
    for _ in range(2):
        furnished.delete(server)
    assert not furnished.leftovers()
    assert stage.billed() == set()
    assert not furnished.servers({})


def test_only_what_is_nobody_s_is_left_over(furnished: Cloud, server: Server, stage: Stage) -> None:
    furnished.snapshot(server, "golden", GOLDEN)
    used = stage.billed()
    assert not furnished.leftovers()
    stranded = stage.strand()
    found = furnished.leftovers()
    assert {str(each) for each in found} == stranded
    assert {each.cloud for each in found} == {stage.account.name}
    assert all(recent(each.created) for each in found)
    for leftover in [*found, *found]:
        furnished.delete_leftover(leftover)
    assert not furnished.leftovers()
    assert stage.billed() == used
    tear_down(furnished)
    assert stage.billed() == set()


def test_a_price_is_euros_an_hour_if_it_is_known(cloud: Cloud, stage: Stage) -> None:
    price = cloud.price(stage.offer)
    assert price is None or 0 < price < 1000
    for field in ("location", "server_type"):
        assert cloud.price(replace(stage.offer, **{field: "nowhere"})) is None


def test_what_could_be_made_is_told_without_a_creation(cloud: Cloud, stage: Stage) -> None:
    told = cloud.prospect([stage.offer], 1)
    assert not told.faults
    assert all(note.startswith(f"{cloud.name}: ") and "\n" not in note for note in told.notes)
    assert any("only the first creation shows" in note for note in told.notes)
    assert stage.billed() == set()


type Spoil = Callable[[ServerSpec], ServerSpec]
WRONG: dict[str, tuple[Spoil, Callable[[ServerSpec], str]]] = {
    "server type": (
        lambda spec: replace(spec, offer=replace(spec.offer, server_type="wrong")),
        lambda spec: spec.offer.server_type,
    ),
    "location": (
        lambda spec: replace(spec, offer=replace(spec.offer, location="wrong")),
        lambda spec: spec.offer.location,
    ),
    "image": (lambda spec: replace(spec, image="wrong"), lambda spec: spec.image),
    "SSH key": (lambda spec: replace(spec, ssh_keys=(*spec.ssh_keys, "wrong")), lambda spec: spec.ssh_keys[0]),
    "firewall": (lambda spec: replace(spec, firewalls=(*spec.firewalls, "wrong")), lambda spec: spec.firewalls[0]),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_name_is_refused_with_the_right_ones(furnished: Cloud, stage: Stage, what: str) -> None:
    right = spec(stage)
    spoil, known = WRONG[what]
    furnished.check([])
    furnished.check([right, right])
    with pytest.raises(InvalidRequest) as caught:
        furnished.check([right, spoil(right)])
    line = str(caught.value)
    assert "\n" not in line
    assert "'wrong'" in line
    assert known(right) in line.partition("wrong")[2]
    with pytest.raises(CloudError):
        furnished.create(spoil(right))
    assert stage.billed() == set()


def test_too_much_user_data_is_refused(furnished: Cloud, stage: Stage) -> None:
    most = spec(stage, "most")
    most = replace(most, user_data=USER_DATA + "#" * (stage.most_user_data - len(USER_DATA)))
    with pytest.raises(InvalidRequest) as caught:
        furnished.create(replace(most, user_data=f"{most.user_data}#"))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert stage.billed() == set()
    assert furnished.create(most).status == RUNNING


def test_a_credential_is_never_shown(furnished: Cloud, stage: Stage) -> None:
    with pytest.raises(AuthFailed) as caught:
        stage.stranger().servers({})
    assert stage.account.credential_file in str(caught.value)
    wrong = replace(spec(stage), offer=replace(stage.offer, server_type="wrong"))
    with pytest.raises(CloudError) as refused:
        furnished.create(wrong)
    said = [repr(furnished), repr(stage.account), repr(wrong)]
    said += [part for error in (caught, refused) for part in traceback.format_exception(error.value)]
    assert not any(secret in line for secret in (*stage.secrets, SECRET) for line in said)
