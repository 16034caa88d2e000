"""Boxes are claimed and released, one claim each, whoever does it and whatever interrupts it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parrotpark.cloud import RUNNING, Account, Cloud, Offer, Prospect, Server, ServerSpec, connect
from parrotpark.cloud.errors import CloudError, InvalidRequest, NameTaken, NotFound, OutOfCapacity, Transient
from parrotpark.cloud.static import StaticCloud, waking
from parrotpark.golden import images
from parrotpark.shared.lease import FINGERPRINT, SLOT, Lease, State

NOW = 1_800_000_000
WANTED, OLD = "a" * 32, "b" * 32
ATTIC, CELLAR = Offer("home", "attic", "static"), Offer("home", "cellar", "static")
SLOTS = {ATTIC: "gpu-1", CELLAR: "gpu-2"}


def account(folder: Path, **attic: Any) -> Account:
    hosts = [{"name": "attic", "slot": "gpu-1", **attic}, {"name": "cellar", "slot": "gpu-2"}]
    return Account.of({"name": "home", "provider": "static", "hosts": hosts, "registry": str(folder / "home.json")})


def labels(slot: str, until: int = NOW + 900) -> dict[str, str]:
    return Lease("gpu", slot, State.WAKING, "entry-server", WANTED, until).labels()


def spec(offer: Offer = ATTIC, *, until: int = NOW + 900, slot: str = "", image: str = WANTED) -> ServerSpec:
    slot = slot or SLOTS[offer]
    return ServerSpec(slot, offer, image, labels(slot, until), user_data="topsecret")


class Time:
    now = float(NOW)


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def cloud(tmp_path: Path, woken: list[str]) -> StaticCloud:
    cloud = StaticCloud(account(tmp_path), waken=lambda box: woken.append(box.name), now=lambda: NOW)
    cloud.provisioned("attic", WANTED)
    cloud.provisioned("cellar", WANTED)
    _: Cloud = cloud  # mypy holds it to the Protocol
    return cloud


def test_a_claim_is_listed_as_a_server_that_runs_until_it_is_released(cloud: StaticCloud, tmp_path: Path) -> None:
    made = cloud.create(spec())
    assert connect(account(tmp_path)).servers({}) == (made,)
    assert (made.name, made.offer, made.status, made.image) == ("gpu-1", ATTIC, RUNNING, WANTED)
    assert (made.labels, made.created) == (labels("gpu-1"), NOW)
    assert cloud.servers({SLOT: "gpu-1"}) == (made,)
    assert cloud.servers({SLOT: None}) == (made,)
    assert cloud.servers({SLOT: "gpu-2"}) == ()
    changed = cloud.relabel(made, labels("gpu-1", NOW + 1800))
    assert cloud.servers({}) == (replace(made, labels=labels("gpu-1", NOW + 1800)),) == (changed,)
    cloud.delete(made)
    cloud.delete(made)
    assert cloud.servers({}) == ()


def test_user_data_is_not_kept(cloud: StaticCloud, tmp_path: Path) -> None:
    cloud.create(spec())
    assert "topsecret" not in (tmp_path / "home.json").read_text()


def test_repeating_a_call_is_harmless_and_wakes_again(cloud: StaticCloud, woken: list[str]) -> None:
    assert cloud.create(spec()) == cloud.create(spec())
    assert woken == ["attic", "attic"]


def test_a_name_is_taken_by_another_lease(cloud: StaticCloud) -> None:
    made = cloud.create(spec())
    with pytest.raises(NameTaken):
        cloud.create(spec(until=NOW + 901))
    assert cloud.servers({}) == (made,)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (spec(slot="gpu-2"), "box attic is for slot gpu-1 alone"),
        (spec(image=OLD), f"box attic is not provisioned with {OLD}, with {WANTED}: run make wake"),
    ],
)
def test_a_box_is_not_had_for_another_slot_or_from_another_fingerprint(
    cloud: StaticCloud, woken: list[str], wanted: ServerSpec, says: str
) -> None:
    with pytest.raises(OutOfCapacity, match=says):
        cloud.create(wanted)
    assert (cloud.servers({}), woken) == ((), [])


def test_a_box_that_nobody_provisioned_is_not_had(tmp_path: Path) -> None:
    with pytest.raises(OutOfCapacity, match=r"not provisioned with a+, at all: run make wake"):
        StaticCloud(account(tmp_path)).create(spec())


def test_an_old_claim_neither_changes_nor_ends_the_one_after_it(cloud: StaticCloud) -> None:
    old = cloud.create(spec())
    cloud.delete(old)
    new = cloud.create(spec(until=NOW + 901))
    cloud.delete(old)
    with pytest.raises(NotFound):
        cloud.relabel(old, {})
    assert cloud.servers({}) == (new,)


def test_what_the_inventory_does_not_name_is_refused_with_what_it_names(cloud: StaticCloud) -> None:
    with pytest.raises(InvalidRequest, match="box 'garage' is unknown to cloud home; it knows: attic, cellar"):
        cloud.check([spec(), replace(spec(), offer=Offer("home", "garage", "static"))])
    with pytest.raises(InvalidRequest, match="server type 'gpu-l4' is unknown to cloud home: static"):
        cloud.create(replace(spec(), offer=Offer("home", "attic", "gpu-l4")))
    with pytest.raises(InvalidRequest, match=f"provisioned with '{OLD}', but: {WANTED}"):
        cloud.check([spec(image=OLD)])
    with pytest.raises(InvalidRequest, match="box 'garage' is unknown"):
        cloud.provisioned("garage", WANTED)


def test_a_claim_of_a_box_that_has_left_the_inventory_can_be_released(cloud: StaticCloud, tmp_path: Path) -> None:
    made = cloud.create(spec(CELLAR))
    gone = replace(account(tmp_path), hosts=account(tmp_path).hosts[:1])
    later = StaticCloud(gone)
    assert later.servers({}) == (made,)
    later.delete(made)
    assert later.servers({}) == ()


def test_an_image_stands_for_boxes_of_one_fingerprint(tmp_path: Path) -> None:
    Time.now = NOW
    cloud = StaticCloud(account(tmp_path), now=lambda: Time.now)
    assert images.find(cloud) == ()
    assert cloud.provisioned("attic", OLD)
    Time.now += 10
    assert cloud.provisioned("cellar", WANTED)
    assert [(image.id, image.labels[FINGERPRINT], image.created) for image in images.find(cloud)] == [
        (WANTED, WANTED, NOW + 10),
        (OLD, OLD, NOW),
    ]
    Time.now += 10
    assert not cloud.provisioned("cellar", WANTED)
    assert cloud.provisioned("attic", WANTED)
    (image,) = images.find(cloud)
    assert (image.id, image.cloud, image.created) == (WANTED, "home", NOW + 20)
    for impossible in (lambda: cloud.delete_image(image), lambda: cloud.snapshot(cloud.create(spec()), "", {})):
        with pytest.raises(InvalidRequest, match="by make wake"):
            impossible()


def test_a_box_costs_nothing_and_leaves_nothing(cloud: StaticCloud) -> None:
    assert (cloud.price(ATTIC), cloud.prospect([ATTIC], 1), cloud.leftovers()) == (0.0, Prospect(), ())


def test_only_the_entry_server_knows_what_is_claimed() -> None:
    with pytest.raises(InvalidRequest, match="only the entry server knows"):
        connect(Account.of({"name": "home", "provider": "static", "hosts": []})).servers({})


# ---- The registry -----------------------------------------------------------------------------------------------

CLAIM = {"id": "attic-1", "name": "gpu-1", "labels": {"a": "b"}, "created": 1, "image": WANTED}
WHOLE = {"claims": {"attic": CLAIM}, "provisions": {"attic": {"fingerprint": WANTED, "at": 1}}, "made": 1}


def call_all(cloud: StaticCloud) -> Sequence[Callable[[], object]]:
    server = Server("attic-1", "gpu-1", RUNNING, "home", "attic", "static", None, None, None, {}, 1)
    return (
        lambda: cloud.servers({}),
        lambda: cloud.images({}),
        lambda: cloud.check([spec()]),
        lambda: cloud.create(spec()),
        lambda: cloud.relabel(server, {}),
        lambda: cloud.delete(server),
        lambda: cloud.provisioned("attic", OLD),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps(WHOLE)[:-1],
        json.dumps(WHOLE | {"colour": "blue"}),
        json.dumps(WHOLE | {"made": "1"}),
        json.dumps(WHOLE | {"claims": []}),
        json.dumps(WHOLE | {"claims": {"attic": CLAIM | {"labels": ["a"]}}}),
        json.dumps(WHOLE | {"claims": {"attic": CLAIM | {"labels": {"a": 1}}}}),
        json.dumps(WHOLE | {"claims": {"attic": CLAIM | {"created": None}}}),
        json.dumps(WHOLE | {"provisions": {"attic": {"fingerprint": WANTED}}}),
        "\udcff",
    ],
)
def test_a_registry_without_sense_is_one_clear_error_and_nothing_is_lost(tmp_path: Path, text: str) -> None:
    path = tmp_path / "home.json"
    path.write_text(text, errors="surrogateescape")
    before = path.read_bytes()
    for call in call_all(StaticCloud(account(tmp_path))):
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert str(caught.value).startswith(f"{path} makes no sense (")
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_registry_that_makes_sense_is_read(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text(json.dumps(WHOLE))
    assert [server.id for server in StaticCloud(account(tmp_path)).servers({})] == ["attic-1"]


def test_a_disk_that_fails_is_a_passing_trouble(tmp_path: Path) -> None:
    (tmp_path / "home.json").mkdir()
    for call in call_all(StaticCloud(account(tmp_path))):
        with pytest.raises(Transient):
            call()


def test_of_many_at_once_one_gets_the_box(tmp_path: Path) -> None:
    StaticCloud(account(tmp_path)).provisioned("attic", WANTED)

    def claim(number: int) -> str:
        try:
            return StaticCloud(account(tmp_path)).create(spec(until=NOW + number)).id
        except NameTaken:
            return "taken"

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(claim, range(1, 33)))
    assert sorted(got) == ["attic-1", *["taken"] * 31]


STEPS = st.tuples(
    st.sampled_from(["create", "relabel", "delete", "provisioned"]),
    st.sampled_from([ATTIC, CELLAR]),
    st.sampled_from(["gpu-1", "gpu-2"]),
    st.sampled_from([WANTED, OLD]),
    st.sampled_from([900, 1800]),
    st.sampled_from(["", "", "", "wake", "write"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_whatever_is_done_and_fails_there_is_one_claim_a_box_and_none_that_was_not_made(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Offer, str, str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("registry")
    model: dict[str, tuple[str, dict[str, str]]] = {}  # by box, the claim
    provisions: dict[str, str] = {}
    old: list[Server] = []
    ids: set[str] = set()
    for verb, offer, slot, fingerprint, left, fault in steps:

        def waken(_: object, fault: str = fault) -> None:
            if fault == "wake":
                raise OutOfCapacity("it does not wake")

        cloud = StaticCloud(account(folder), waken=waken, now=lambda: NOW)  # a new process each time
        box, wanted = offer.location, spec(offer, slot=slot, image=fingerprint, until=NOW + left)
        fits = SLOTS[offer] == slot and provisions.get(box) == fingerprint
        held = model.get(box)
        same = held is not None and held[1] == wanted.labels
        with pytest.MonkeyPatch.context() as patch:
            if fault == "write":

                def refuse(*_: object) -> None:
                    raise OSError("No space left on device")

                patch.setattr("parrotpark.cloud.static.registry.write_file", refuse)
            try:
                match verb:
                    case "create":
                        server = cloud.create(wanted)
                        assert same or (fits and held is None)
                        assert fault == "" or (fault == "write" and same)  # what is so already is not written
                        model[box] = (server.id, dict(wanted.labels))
                        assert same or server.id not in ids
                        ids.add(server.id)
                        old.append(server)
                    case "relabel" if old:
                        cloud.relabel(old[-1], {**old[-1].labels, "parrotpark-until": str(NOW + left)})
                        where = old[-1].location
                        assert model[where][0] == old[-1].id
                        model[where] = (old[-1].id, {**old[-1].labels, "parrotpark-until": str(NOW + left)})
                    case "delete" if old:
                        cloud.delete(old[0])
                        if model.get(old[0].location, ("", {}))[0] == old[0].id:
                            del model[old[0].location]
                        old.pop(0)
                    case "provisioned":
                        cloud.provisioned(box, fingerprint)
                        provisions[box] = fingerprint
            except CloudError:
                possible = same or (fits and held is None)
                assert verb != "create" or fault or not possible
                if verb == "create" and fault == "wake" and possible:
                    model.pop(box, None)  # what was claimed is released
        listed = {server.location: (server.id, dict(server.labels)) for server in cloud.servers({})}
        assert listed == model


# ---- How a box is woken -----------------------------------------------------------------------------------------


def box_of(folder: Path, **options: Any) -> StaticCloud:
    cloud = StaticCloud(account(folder, **options))
    cloud.provisioned("attic", WANTED)
    return cloud


@pytest.mark.parametrize("mac", ["02:00:5e:10:00:ff", "02-00-5E-10-00-FF"])
def test_a_magic_packet_goes_to_where_the_inventory_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mac: str
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as network:
        network.bind(("127.0.0.1", 0))
        network.settimeout(5)
        monkeypatch.setattr(waking, "PORT", network.getsockname()[1])
        box_of(tmp_path, wake_mac=mac, wake_address="127.0.0.1").create(spec())
        packets = {network.recv(200) for _ in range(waking.PACKETS)}
    assert packets == {b"\xff" * 6 + bytes([2, 0, 0x5E, 0x10, 0, 0xFF]) * 16}


def test_it_may_be_broadcast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without leave of the kernel, sending to a broadcast address is refused."""
    sent: list[tuple[bool, object]] = []

    class Socket(socket.socket):
        def sendto(self, _: object, address: object) -> int:  # type: ignore[override]
            sent.append((bool(self.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)), address))
            return 0

    monkeypatch.setattr(socket, "socket", Socket)
    box_of(tmp_path, wake_mac="02:00:5e:10:00:ff").create(spec())
    assert sent == [(True, ("255.255.255.255", 9))] * 3


def program(folder: Path, code: str) -> list[str]:
    (folder / "wake.py").write_text(code)
    return [sys.executable, str(folder / "wake.py"), "a b", "$HOME; false"]


def test_a_command_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    code = f"import sys, pathlib; pathlib.Path({str(tmp_path / 'said')!r}).write_text(repr(sys.argv[1:]))"
    box_of(tmp_path, wake_command=program(tmp_path, code)).create(spec())
    assert (tmp_path / "said").read_text() == "['a b', '$HOME; false']"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('somebody\\nplays')", "box attic: its wake_command says: somebody plays"),
        ("import sys; sys.exit(3)", "box attic: its wake_command says: exit status 3"),
        ("import time; time.sleep(9)", "box attic: its wake_command did not end within 0 s"),
        (None, "box attic cannot be woken: "),
    ],
)
def test_a_box_that_cannot_be_woken_is_not_had_and_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, says: str
) -> None:
    monkeypatch.setattr(waking, "TIMEOUT", 0.3 if code and "sleep" in code else 20)
    command = program(tmp_path, code) if code else ["/nonexistent"]
    cloud = box_of(tmp_path, wake_command=command)
    with pytest.raises(OutOfCapacity) as caught:
        cloud.create(spec())
    assert says in str(caught.value)
    assert cloud.servers({}) == ()
