"""Scaleway through its own SDK: against a face of its API in memory, and against every error it may answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parrotpark.cloud import OFF, RUNNING, Account, Furnishing, Offer, Rule, Server, ServerSpec, connect
from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NameTaken,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unreachable,
)
from parrotpark.cloud.scaleway import ScalewayCloud, client, images
from tests.cloud_in_memory import PUBLIC_KEY
from tests.scaleway_in_memory import (
    ARM,
    DENIED,
    FORBIDDEN,
    OUT_OF_STOCK,
    QUOTA,
    SECRET,
    TOO_MANY,
    TYPES,
    ZONE,
    Refusal,
    Scaleway,
    Served,
    invalid,
    not_found,
    serving,
)

LABELS = {"parrotpark-role": "gpu", "parrotpark-slot": "gpu-1"}
GOLDEN = {"parrotpark-role": "gpu-image", "parrotpark-fingerprint": "f"}
SPEC = ServerSpec("gpu-1", Offer("here", ZONE, "L4-1-24G"), "debian_trixie", LABELS, user_data="#cloud-config\n")
FURNISHING = Furnishing("parrotpark", PUBLIC_KEY, "parrotpark-gpu", (Rule("tcp", "22", ("192.0.2.0/24",)),))
type KilledAfter = Callable[[str], AbstractContextManager[None]]

CREATION = ("POST /servers", "PATCH /servers/{id}/user_data/cloud-init", "poweron")


class Killed(BaseException):
    """Our process ends here."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def face(served: Served) -> Scaleway:
    return served.face


@pytest.fixture
def cloud(served: Served) -> ScalewayCloud:
    return cloud_of(served)


@pytest.fixture
def server(cloud: ScalewayCloud) -> Server:
    return cloud.create(SPEC)


@pytest.fixture
def killed_after(face: Scaleway, monkeypatch: pytest.MonkeyPatch) -> KilledAfter:
    """Ends our process at the first call of that name, when the API has done it but nobody has read the answer."""

    @contextmanager
    def killed_after(call: str) -> Iterator[None]:
        send = HTTPAdapter.send

        def sent(*args: Any, **options: Any) -> requests.Response:
            answer = send(*args, **options)
            if call in face.calls:
                raise Killed
            return answer

        face.calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(HTTPAdapter, "send", sent)
            yield

    return killed_after


def cloud_of(served: Served) -> ScalewayCloud:
    return ScalewayCloud(served.account, SECRET, sleep=served.face.work)


def kinds(billed: set[str]) -> list[str]:
    return sorted(each.partition(" ")[0] for each in billed)


# ---- Creation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CREATION)
def test_a_creation_that_was_killed_is_brought_to_its_end(
    served: Served, face: Scaleway, killed_after: KilledAfter, call: str
) -> None:
    with pytest.raises(Killed), killed_after(call):
        cloud_of(served).create(SPEC)
    (begun,) = face.servers
    assert begun in {each.id for each in cloud_of(served).servers(LABELS)}
    made = cloud_of(served).create(SPEC)
    assert (made.id, made.status, face.user_data[begun]) == (begun, RUNNING, b"#cloud-config\n")
    assert kinds(served.billed()) == ["server", "volume"]


@pytest.mark.parametrize("call", [*CREATION, "GET /servers"])
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (OUT_OF_STOCK, OutOfCapacity),
        (QUOTA, QuotaExceeded),
        (TOO_MANY, RateLimited),
        (FORBIDDEN, AuthFailed),
        (invalid("name"), InvalidRequest),
    ],
)
def test_a_creation_that_is_refused_leaves_nothing(
    served: Served, face: Scaleway, cloud: ScalewayCloud, call: str, refusal: Refusal, kind: type[CloudError]
) -> None:
    face.refusals[call] = refusal
    with pytest.raises(CloudError) as caught:
        cloud.create(SPEC)
    assert type(caught.value) is kind
    assert served.billed() == set()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("stuck", "server gpu-1 does not start within 5 minutes: try another zone"),
        ("sold_out", r"server gpu-1 is stopped again instead of running \(no node is left\): try another zone"),
    ],
)
def test_a_server_for_which_there_is_no_place_is_deleted(
    served: Served, face: Scaleway, cloud: ScalewayCloud, trouble: str, words: str
) -> None:
    setattr(face, trouble, True)
    with pytest.raises(OutOfCapacity, match=words):
        cloud.create(SPEC)
    assert served.billed() == set()
    assert face.servers == {}


def test_a_server_on_its_way_out_is_made_anew(served: Served, face: Scaleway, server: Server) -> None:
    face.act(server.id, {"action": "terminate"})
    made = cloud_of(served).create(SPEC)
    assert (made.status, made.id != server.id) == (RUNNING, True)


def test_a_server_in_standby_is_not_off_and_runs_again(face: Scaleway, cloud: ScalewayCloud, server: Server) -> None:
    face.act(server.id, {"action": "stop_in_place"})
    face.work()
    (standby,) = cloud.servers({})
    assert standby.status not in (RUNNING, OFF)
    assert cloud.create(SPEC) == server


def test_a_tag_of_a_person_is_no_label(face: Scaleway, cloud: ScalewayCloud, server: Server) -> None:
    face.servers[server.id]["tags"].append("mine")
    assert cloud.create(SPEC) == server


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("labels", [LABELS, {"other": "lease"}])
def test_of_two_runs_that_make_a_server_the_younger_gives_way(
    face: Scaleway, cloud: ScalewayCloud, first: bool, labels: dict[str, str]
) -> None:
    """Both have seen that there is none; names are not unique."""
    create, rivals = face.create_server, []

    def race(body: dict[str, Any]) -> Response:
        def rival() -> None:
            create({**body, "tags": [f"{key}={value}" for key, value in labels.items()]})
            rivals.append(list(face.servers)[-1])

        if first:
            rival()
        answer = create(body)
        if not first:
            rival()
        return answer

    face.create_server = race  # type: ignore[method-assign]
    if first and labels != LABELS:
        with pytest.raises(NameTaken, match="a server named 'gpu-1' exists with another lease"):
            cloud.create(SPEC)
    else:
        assert (cloud.create(SPEC).id in rivals) == first
    assert (rivals == list(face.servers)) == first
    assert face.calls.count("poweron") == (0 if first and labels != LABELS else 1)
    assert len(face.volumes) == len(face.servers) == (1 if first or labels == LABELS else 2)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(SPEC, image="debian_7"), "image 'debian_7' is unknown .* it knows: debian_trixie, ubuntu_noble"),
        (replace(SPEC, image=SECRET), f"image '{SECRET}' is unknown"),
        (replace(SPEC, firewalls=("a", "b")), "a server at Scaleway has one firewall: choose one of a, b"),
        (replace(SPEC, offer=replace(SPEC.offer, location="fr-par-1")), "location 'fr-par-1' .* it knows: fr-par-2$"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(
    face: Scaleway, cloud: ScalewayCloud, spec: ServerSpec, words: str
) -> None:
    for name in "ab":
        cloud.furnish(replace(FURNISHING, firewall=name))
    cloud.check([SPEC, replace(SPEC, offer=replace(SPEC.offer, server_type=ARM))])
    for attempt in (lambda: cloud.check([SPEC, spec]), lambda: cloud.create(spec)):
        with pytest.raises(InvalidRequest, match=words):
            attempt()
    assert face.servers == {}


@pytest.mark.parametrize("server_type", TYPES)
def test_an_image_is_the_one_for_the_server_type(cloud: ScalewayCloud, face: Scaleway, server_type: str) -> None:
    made = cloud.create(replace(SPEC, offer=replace(SPEC.offer, server_type=server_type)))
    assert face.public[str(made.image)]["arch"] == ("arm64" if server_type == ARM else "x86_64")


# ---- Deletion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [None, "poweroff", "stop_in_place"])
def test_a_server_goes_with_its_volume_and_address_but_not_with_what_is_kept(
    served: Served, face: Scaleway, cloud: ScalewayCloud, server: Server, action: str | None
) -> None:
    kept, own = face.reserve("51.15.0.1", ["keep"]), face.reserve("51.15.0.2")
    for ip in (kept, own):
        ip["server"] = {"id": server.id, "name": server.name}
        face.servers[server.id]["public_ips"].append({**ip, "dynamic": False, "family": "inet"})
    if action:
        face.act(server.id, {"action": action})
        face.work()
    cloud.delete(server)
    assert served.billed() == {f"address {kept['id']}"}
    assert cloud.leftovers() == ()


def test_a_server_that_never_goes_is_not_called_deleted(served: Served, server: Server) -> None:
    cloud = ScalewayCloud(served.account, SECRET, sleep=lambda _: None)
    with pytest.raises(Transient, match="server gpu-1 is stopping and does not go: check the cloud's console"):
        cloud.delete(server)


# ---- Images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["poweroff", "backup", "PATCH /images/{id}"])
def test_an_image_that_was_begun_is_finished(
    served: Served,
    face: Scaleway,
    server: Server,
    killed_after: KilledAfter,
    call: str,
) -> None:
    with pytest.raises(Killed), killed_after(call):
        cloud_of(served).snapshot(server, "golden", GOLDEN)
    cloud = cloud_of(served)
    face.work()
    assert cloud.leftovers() == ()
    image = cloud.snapshot(server, "golden", GOLDEN)
    assert (image.description, dict(image.labels), list(face.images)) == ("golden", GOLDEN, [image.id])
    assert cloud.images(GOLDEN) == (image,)
    face.calls.clear()
    assert cloud.snapshot(server, "golden", GOLDEN) == image
    assert not [call for call in face.calls if "GET" not in call]
    assert cloud.snapshot(server, "golden", {**GOLDEN, "other": "label"}) != image


def test_an_image_that_nobody_will_finish_is_left_over(
    served: Served,
    face: Scaleway,
    cloud: ScalewayCloud,
    server: Server,
    killed_after: KilledAfter,
) -> None:
    finished = cloud.snapshot(server, "golden", GOLDEN)
    with pytest.raises(Killed), killed_after("backup"):
        cloud.snapshot(server, "golden", {**GOLDEN, "other": "label"})
    face.work()
    assert cloud.images({}) == (finished,)
    cloud.delete(server)
    (leftover,) = cloud.leftovers()
    assert f"snapshot {leftover.id}" in served.billed()
    cloud.delete_leftover(leftover)
    assert list(face.images) == [finished.id]
    assert kinds(served.billed()) == ["snapshot"]


def test_an_image_is_labelled_only_when_it_can_be_booted(
    face: Scaleway, cloud: ScalewayCloud, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "IMAGING", 60.0)
    face.busy = True
    with pytest.raises(Transient, match=r"image golden \w+ is still being made: try again"):
        cloud.snapshot(server, "golden", GOLDEN)
    assert cloud.images({}) == ()
    face.busy = False
    image = cloud.snapshot(server, "golden", GOLDEN)
    assert cloud.images({}) == (image,)
    face.images[image.id]["state"] = "error"
    assert cloud.images({}) == ()
    (snapshot,) = face.snapshots.values()
    snapshot["status"] = "error"
    with pytest.raises(InvalidRequest, match=r"image golden \w+ has failed: delete it"):
        cloud.snapshot(server, "golden", GOLDEN)


# ---- Leftovers ------------------------------------------------------------------------------------------------------


def test_what_a_person_keeps_is_no_leftover(served: Served, face: Scaleway, cloud: ScalewayCloud) -> None:
    for tags in (["keep"], ["other"]):
        face.reserve(tags=tags)
        face.volume(tags[0], 1, tags=tags)
        face.old_volume(f"old {tags[0]}", tags)
        face.snapshot(tags[0], tags)
    found = cloud.leftovers()
    assert [str(each) for each in found] == ["address 51.15.0.9", "volume other", "volume old other", "snapshot other"]
    for leftover in found:
        cloud.delete_leftover(leftover)
    assert kinds(served.billed()) == ["address", "snapshot", "volume", "volume"]
    assert cloud.leftovers() == ()


@pytest.mark.parametrize("refusal", [FORBIDDEN, not_found("ip", "7")])
def test_an_address_of_unknown_age_is_left_alone(face: Scaleway, cloud: ScalewayCloud, refusal: Refusal) -> None:
    face.reserve()
    face.refusals["GET /ipam/v1/regions/fr-par/ips/{id}"] = refusal
    assert cloud.leftovers() == ()


def test_more_than_a_page_is_listed(face: Scaleway, cloud: ScalewayCloud) -> None:
    for number in range(201):
        face.volume(f"lost {number}", 1)
        face.old_volume(f"old {number}")
    assert len(cloud.leftovers()) == 402


def test_one_call_lists_the_servers(face: Scaleway, cloud: ScalewayCloud) -> None:
    assert cloud.servers({"parrotpark-role": None}) == ()
    assert face.calls == ["GET /servers"]


# ---- Furnishing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda group, _rules: group.update(inbound_default_policy="accept"),
        lambda group, _rules: group.update(stateful=False),
        lambda _group, rules: rules.pop(0),
        lambda _group, rules: rules.append({**rules[0], "direction": "outbound", "action": "drop"}),
        lambda _group, rules: rules[0].update(dest_port_to=23),
    ],
)
def test_a_firewall_is_closed_again(
    face: Scaleway, cloud: ScalewayCloud, change: Callable[[dict[str, Any], list[dict[str, Any]]], object]
) -> None:
    cloud.furnish(FURNISHING)
    (group,) = face.groups.values()
    before = group | {"rules": [rule | {"id": "", "position": 1} for rule in face.rules[group["id"]]]}
    change(group, face.rules[group["id"]])
    assert cloud.furnish(FURNISHING, check=True) == ("rules of firewall parrotpark-gpu changed",)
    assert cloud.furnish(FURNISHING) == ("rules of firewall parrotpark-gpu changed",)
    assert cloud.furnish(FURNISHING) == ()
    assert before == group | {"rules": [rule | {"id": "", "position": 1} for rule in face.rules[group["id"]]]}


def test_a_key_is_replaced_without_a_moment_without_one(face: Scaleway, cloud: ScalewayCloud) -> None:
    cloud.furnish(FURNISHING)
    cloud.furnish(replace(FURNISHING, ssh_key="somebody's"))
    face.calls.clear()
    other = PUBLIC_KEY.replace("IOMq", "IOMr")
    assert cloud.furnish(replace(FURNISHING, public_key=other)) == ("SSH key parrotpark replaced",)
    calls = [call for call in face.calls if "GET" not in call]
    assert calls == ["POST /iam/v1alpha1/ssh-keys", "DELETE /iam/v1alpha1/ssh-keys/{id}"]
    assert sorted(key["public_key"] for key in face.keys.values()) == sorted([PUBLIC_KEY, other])


def test_a_key_that_was_uploaded_and_not_replaced_is_uploaded_once(face: Scaleway, cloud: ScalewayCloud) -> None:
    cloud.furnish(FURNISHING)
    (key,) = face.keys.values()
    face.keys["old"] = {**key, "id": "old", "public_key": PUBLIC_KEY.replace("IOMq", "IOMr")}
    assert cloud.furnish(FURNISHING) == ("SSH key parrotpark replaced",)
    assert list(face.keys) == [key["id"]]


# ---- Errors ---------------------------------------------------------------------------------------------------------

TRANSIENT = Refusal(409, "transient_state", "resource is in a transient state", {"current_state": "stopping"})
PRECONDITION = Refusal(412, "precondition_failed", "precondition is not respected", {"help_message": "it is in use"})
NO_QUOTA = Refusal(403, "invalid_request_error", "Quota exceeded for this resource.", {"resource": "instances_gpu"})
FIELDS = Refusal(400, "", "Validation Error", {"fields": {"name": ["is too long"]}})


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        (
            DENIED,
            AuthFailed,
            r"is denied \(denied_authentication\): check the secret key in /.*/secret-key",
        ),
        (FORBIDDEN, AuthFailed, r"write block_volume .*give the owner of the key .* BlockStorageFullAccess"),
        (Refusal(401, ""), AuthFailed, "check the secret key"),
        (OUT_OF_STOCK, OutOfCapacity, r"L4-1-24G \(out_of_stock\): try another zone or server type"),
        (QUOTA, QuotaExceeded, "InstancesGpuL4 0 0 .*ask the provider to raise"),
        (NO_QUOTA, QuotaExceeded, "instances_gpu .*ask the provider to raise"),
        (TOO_MANY, RateLimited, "wait a few minutes"),
        (Refusal(429, ""), RateLimited, "wait a few minutes"),
        (not_found("instance_server", "7"), NotFound, "resource is not found: instance_server: 7"),
        (Refusal(404, "unknown_resource"), NotFound, "because"),
        (Refusal(410, "resource_expired"), NotFound, "because"),
        (TRANSIENT, Transient, r"stopping \(transient_state\): try again"),
        (PRECONDITION, Transient, "it is in use .*try again"),
        (Refusal(409, "conflict"), Transient, "try again"),
        (Refusal(400, "invalid_request_error", "server should be running"), Transient, "running .*try again"),
        (Refusal(500, "internal_error"), Transient, "try again"),
        (Refusal(503, ""), Transient, r"\(503\): try again"),
        (Refusal(403, "locked"), InvalidRequest, "ask the provider why it has locked it"),
        (invalid("tags", "too many"), InvalidRequest, r"invalid argument\(s\): tags constraint too many"),
        (FIELDS, InvalidRequest, "Validation Error: name is too long"),
        (Refusal(400, "invalid_request_error", "two\nlines"), InvalidRequest, "two lines"),
        (Refusal(418, "something_new"), InvalidRequest, "because"),
    ],
)
def test_each_error_has_its_type_and_one_line_of_advice(
    face: Scaleway, cloud: ScalewayCloud, refusal: Refusal, kind: type[CloudError], words: str
) -> None:
    face.refusals["GET /servers"] = refusal
    with pytest.raises(CloudError, match=words) as caught:
        cloud.servers({})
    assert type(caught.value) is kind
    assert str(caught.value).startswith("scaleway: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (307, ""),
        (502, "<html><h1>502 Bad Gateway</h1></html>"),
        (404, "<html>"),
        (403, "[]"),
        (200, "<html>"),
        (200, ""),
        (200, "[]"),
        (200, "{}"),
        (200, '{"news": []}'),
        (200, '{"servers": 1}'),
        (200, '{"servers": [1]}'),
        (200, '{"servers": [{}]}'),
    ],
)
def test_what_is_not_the_api_s_answer_is_a_passing_trouble(tmp_path: Path, status: int, body: str) -> None:
    def instead(_app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await Response(body, status, {"Location": "/elsewhere"})(scope, receive, send)

        return answer

    with serving(tmp_path, instead) as served, pytest.raises(Transient, match="does not answer as this API") as caught:
        cloud_of(served).servers({})
    assert "\n" not in str(caught.value)


def test_an_answer_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(0.5)
            await app(scope, receive, send)

        return answer

    monkeypatch.setattr(client, "TIMEOUT", (5.0, 0.05))
    with serving(tmp_path, slow) as served, pytest.raises(Transient, match="does not answer in time: try again"):
        cloud_of(served).servers({})


def test_a_cloud_that_is_not_there_is_told_from_one_that_refuses(served: Served) -> None:
    account = replace(served.account, endpoint="http://127.0.0.1:9/")
    with pytest.raises(Unreachable, match=r"nothing answers at http://127\.0\.0\.1:9: check the endpoint"):
        connect(account).servers({})
    with pytest.raises(InvalidRequest, match="the endpoint 'localhost' cannot be called"):
        connect(replace(account, endpoint="localhost")).servers({})


@pytest.mark.parametrize("field", ["region", "project"])
def test_an_account_says_its_zone_and_project(served: Served, field: str) -> None:
    values = {**served.account.to_dict(), field: None}
    with pytest.raises(InvalidRequest, match="cloud here needs region, a zone such as fr-par-2, and project"):
        connect(Account.of(values))
