"""Hetzner Cloud through hcloud-python: against the local cloud's API, and against every error it may answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Account, Cloud, Offer, Server, ServerSpec, connect
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
    Unfinished,
    Unreachable,
)
from parrotpark.cloud.hetzner import HetznerCloud
from tests.cloud_in_memory import Served

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import Network

pytestmark = pytest.mark.usefixtures("impatient")

SPEC = ServerSpec(
    "gpu-1", Offer("gpu", "fsn1", "ccx33"), "debian-13", {"parrotpark-role": "gpu", "parrotpark-slot": "gpu-1"}
)


@pytest.fixture
def cloud(hetzner: HetznerCloud) -> HetznerCloud:
    return hetzner


# ---- Against the local cloud ------------------------------------------------------------------------------------


def test_a_server_is_created_found_relabelled_and_deleted(cloud: HetznerCloud, local_cloud: Served) -> None:
    server = cloud.create(SPEC)
    assert (server.name, server.status, server.location, server.server_type) == ("gpu-1", "running", "fsn1", "ccx33")
    assert (server.cloud, server.image, dict(server.labels)) == ("gpu", "debian-13", SPEC.labels)
    assert server.ipv4 is not None
    assert cloud.servers({"parrotpark-role": None}) == (server,)
    assert cloud.servers({"parrotpark-role": "gpu", "parrotpark-slot": "gpu-1"}) == (server,)
    assert cloud.servers({"parrotpark-role": "entry"}) == ()
    relabelled = cloud.relabel(server, {"parrotpark-role": "gpu"})
    assert dict(relabelled.labels) == {"parrotpark-role": "gpu"}
    cloud.delete(relabelled)
    assert cloud.servers({"parrotpark-role": None}) == ()
    assert local_cloud.backend.machines == {}


def test_creating_again_with_the_same_lease_returns_the_same_server(cloud: HetznerCloud) -> None:
    assert cloud.create(SPEC) == cloud.create(SPEC)


def test_a_name_that_is_taken_by_another_lease_is_refused(cloud: HetznerCloud) -> None:
    cloud.create(SPEC)
    with pytest.raises(NameTaken, match="a server named 'gpu-1' exists with another lease"):
        cloud.create(ServerSpec("gpu-1", SPEC.offer, "debian-13", {"other": "lease"}))


def test_a_server_knows_when_it_was_made(cloud: HetznerCloud) -> None:
    before = int(time.time())
    assert before <= cloud.create(SPEC).created <= time.time()


def test_deleting_what_is_gone_is_fine(cloud: HetznerCloud) -> None:
    server = cloud.create(SPEC)
    cloud.delete(server)
    cloud.delete(server)


def test_a_server_that_does_not_come_up_is_deleted(cloud: HetznerCloud, local_cloud: Served) -> None:
    local_cloud.backend.fails = {"start"}
    with pytest.raises(CloudError, match="start does not work today"):
        cloud.create(SPEC)
    assert cloud.servers({"parrotpark-role": None}) == ()


def test_a_server_whose_answer_was_lost_is_found(cloud: HetznerCloud, network: Network, local_cloud: Served) -> None:
    network.spoil("lost", call="/v1/servers")
    with pytest.raises(Transient, match="broke off in the middle of its answer: try again"):
        cloud.create(SPEC)
    assert cloud.create(SPEC).name == "gpu-1"
    assert len(local_cloud.backend.machines) == 1


def test_a_call_that_never_reached_the_cloud_is_told_from_a_lost_answer(cloud: HetznerCloud, network: Network) -> None:
    network.spoil("refused", call="/v1/servers")
    with pytest.raises(Unreachable):
        cloud.create(SPEC)
    assert cloud.servers({}) == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            ServerSpec("a", Offer("gpu", "fsn1", "ccx99"), "debian-13", {}),
            r"server type 'ccx99' is unknown to the cloud; it knows: .*ccx33",
        ),
        (
            ServerSpec("a", Offer("gpu", "mars1", "ccx33"), "debian-13", {}),
            r"location of server type ccx33 'mars1' is unknown to the cloud; it knows: .*fsn1",
        ),
        (
            ServerSpec("a", SPEC.offer, "debian-7", {}),
            "image 'debian-7' is unknown .* it knows: .*debian-13",
        ),
        (ServerSpec("a", SPEC.offer, "debian-13", {}, ssh_keys=("me",)), "SSH key 'me' is unknown .* it knows: none"),
        (ServerSpec("a", SPEC.offer, "debian-13", {}, firewalls=("f",)), "firewall 'f' is unknown .* it knows: none"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(cloud: HetznerCloud, spec: ServerSpec, message: str) -> None:
    cloud.check([SPEC])
    with pytest.raises(InvalidRequest, match=message):
        cloud.check([SPEC, spec])


def test_a_firewall_that_went_away_is_named(cloud: HetznerCloud) -> None:
    with pytest.raises(NotFound, match="firewall 'f' is not in the project"):
        cloud.create(ServerSpec("a", SPEC.offer, "debian-13", {}, firewalls=("f",)))


def test_a_wrong_token_is_named(account: Account) -> None:
    Path(account.credential_file).write_text("x" * 64)
    with pytest.raises(AuthFailed, match=rf"unable to authenticate .*check the token in {account.credential_file}"):
        connect(account).servers({})


def test_a_cloud_that_is_not_there_is_told_from_one_that_refuses(account: Account) -> None:
    with pytest.raises(Unreachable, match=r"nothing answers at http://127\.0\.0\.1:9/v1: start the local cloud"):
        connect(replace(account, endpoint="http://127.0.0.1:9/v1")).servers({})


def test_an_endpoint_that_is_no_url_is_named(account: Account) -> None:
    with pytest.raises(InvalidRequest, match="the endpoint 'localhost' cannot be called"):
        connect(replace(account, endpoint="localhost")).servers({})


def test_an_unknown_provider_is_refused(account: Account) -> None:
    with pytest.raises(InvalidRequest, match="provider 'acme' is unknown; known: hetzner"):
        connect(replace(account, provider="acme"))


# ---- Against a script -------------------------------------------------------------------------------------------

type Answer = tuple[int, str]  # status and body
type Script = Callable[[str, str], Answer]


@pytest.fixture
def scripted() -> Iterator[Callable[[Script], Cloud]]:
    """Makes a cloud whose every answer is the script's, by method and path."""
    with ExitStack() as servers:

        def start(script: Script) -> Cloud:
            class Handler(BaseHTTPRequestHandler):
                def answer(self) -> None:
                    status, body = script(self.command, self.path.partition("?")[0].removeprefix("/v1/"))
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(body.encode())

                do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815, the names that http.server calls

                def log_message(self, *_: object) -> None:
                    """Stay silent."""

            server = servers.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            servers.callback(server.shutdown)
            account = Account("gpu", "hetzner", "/etc/token", f"http://127.0.0.1:{server.server_port}/v1")
            return HetznerCloud(account, "a-token", sleep=lambda _: None)

        yield start


def error(status: int, code: str, message: str = "because", details: object = None) -> Answer:
    return status, json.dumps({"error": {"code": code, "message": message, "details": details}})


@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (401, "unauthorized", AuthFailed, "check the token in /etc/token"),
        (403, "forbidden", AuthFailed, "check the token in /etc/token"),
        (403, "token_readonly", AuthFailed, "that it may write"),
        (412, "resource_unavailable", OutOfCapacity, "try another location"),
        (412, "placement_error", OutOfCapacity, "try another location"),
        (403, "resource_limit_exceeded", QuotaExceeded, "ask the provider to raise"),
        (429, "rate_limit_exceeded", RateLimited, "wait a few minutes"),
        (404, "not_found", NotFound, "because"),
        (423, "locked", Transient, "try again"),
        (409, "conflict", Transient, "try again"),
        (503, "maintenance", Transient, "try again"),
        (500, "server_error", Transient, "try again"),
        (504, "timeout", Transient, "try again"),
        (422, "invalid_input", InvalidRequest, "because"),
        (423, "protected", InvalidRequest, "because"),
        (418, "something_new", InvalidRequest, "because"),
    ],
)
def test_each_error_code_has_its_type_and_one_line_of_advice(
    scripted: Callable[[Script], Cloud], status: int, code: str, kind: type[CloudError], advice: str
) -> None:
    cloud = scripted(lambda _method, _path: error(status, code))
    with pytest.raises(CloudError) as caught:
        cloud.servers({})
    assert type(caught.value) is kind
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("invalid input in field 'image'", "invalid input in field 'image': Image not found (invalid_input)"),
        ("image: Image not found", "image: Image not found (invalid_input)"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_once(scripted: Callable[[Script], Cloud], message: str, shown: str) -> None:
    details = {"fields": [{"name": "image", "messages": ["Image not found"]}]}
    cloud = scripted(lambda _method, _path: error(422, "invalid_input", message, details))
    with pytest.raises(InvalidRequest) as caught:
        cloud.create(SPEC)
    assert str(caught.value) == f"hetzner: {shown}"


@pytest.mark.parametrize("status", [200, 500, 502, 503])
def test_a_proxy_s_page_is_a_passing_trouble(scripted: Callable[[Script], Cloud], status: int) -> None:
    with pytest.raises(Transient):
        scripted(lambda _method, _path: (status, "<html>")).servers({})


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"servers": 1}', '{"servers": [{}], "meta": null}'])
def test_an_answer_of_something_else_is_a_passing_trouble(scripted: Callable[[Script], Cloud], body: str) -> None:
    with pytest.raises(Transient, match=r"http://.* does not answer as this API does .*check the endpoint") as caught:
        scripted(lambda _method, _path: (200, body)).servers({})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"), [("resource_unavailable", OutOfCapacity), ("action_failed", Transient), ("new", Transient)]
)
def test_work_that_fails_has_its_type_and_the_server_goes(
    scripted: Callable[[Script], Cloud], code: str, kind: type[CloudError]
) -> None:
    calls: list[str] = []
    failed = {"id": 1, "command": "create_server", "status": "error", "error": {"code": code, "message": "two\nlines"}}

    def script(method: str, path: str) -> Answer:
        calls.append(f"{method} {path}")
        if path.startswith("actions"):
            return 200, json.dumps({"action": failed})
        if method == "POST":
            return 201, json.dumps(
                {"server": {"id": 7, "name": "gpu-1"}, "action": failed, "next_actions": [], "root_password": None}
            )
        return error(404, "not_found")

    with pytest.raises(CloudError, match=f"two lines \\({code}\\)") as caught:
        scripted(script).create(SPEC)
    assert type(caught.value) is kind
    assert calls == ["POST servers", "GET actions/1", "DELETE servers/7"]


def test_a_locked_server_is_waited_for(scripted: Callable[[Script], Cloud]) -> None:
    answers = [error(423, "locked"), error(423, "locked"), error(404, "not_found")]
    calls: list[str] = []

    def script(method: str, path: str) -> Answer:
        calls.append(f"{method} {path}")
        return answers.pop(0)

    cloud = scripted(script)
    cloud.delete(_a_server())
    assert calls == ["DELETE servers/7"] * 3


def test_a_server_that_is_never_gone_is_not_called_deleted(scripted: Callable[[Script], Cloud]) -> None:
    action = {"id": 1, "command": "delete_server", "status": "success", "progress": 100, "resources": [], "error": None}

    def script(method: str, path: str) -> Answer:
        if method == "DELETE" or path.startswith("actions"):
            return 200, json.dumps({"action": action})
        return 200, json.dumps({"server": {"id": 7, "name": "gpu-1"}})

    with pytest.raises(Transient, match="server gpu-1 is still listed after its deletion"):
        scripted(script).delete(_a_server())


def test_work_without_end_is_waited_for_once_and_some_five_minutes(
    scripted: Callable[[Script], Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    action = {"id": 1, "command": "delete_server", "status": "running", "progress": 1, "resources": [], "error": None}
    pauses: list[float] = []
    monkeypatch.setattr("hcloud.actions.client.time.sleep", pauses.append)
    with pytest.raises(Unfinished, match="try again"):
        scripted(lambda _method, _path: (200, json.dumps({"action": action}))).delete(_a_server())
    assert 240 < sum(pauses) < 300


def test_the_servers_are_listed_in_one_call(scripted: Callable[[Script], Cloud]) -> None:
    calls: list[str] = []

    def script(method: str, path: str) -> Answer:
        calls.append(f"{method} {path}")
        page = {"page": 1, "per_page": 50, "previous_page": None, "next_page": None, "last_page": 1, "total_entries": 0}
        return 200, json.dumps({"servers": [], "meta": {"pagination": page}})

    assert scripted(script).servers({"parrotpark-role": None}) == ()
    assert calls == ["GET servers"]


def _a_server() -> Server:
    return Server("7", "gpu-1", "running", "gpu", "fsn1", "ccx33", None, None, None, {}, 0)
