"""What the guard before LiteLLM lets through; `molecule test -s litellm` tries it on LiteLLM itself."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, MutableMapping
from hashlib import sha256
from types import ModuleType
from typing import Any

import pytest

CHAT = "/v1/chat/completions"
FORWARDED = (b"x-forwarded-for", b"192.0.2.7")


class LiteLLM:
    """Stands in for LiteLLM: one key is good, and every answer tells of the inside."""

    def __init__(self) -> None:
        self.scopes: list[MutableMapping[str, Any]] = []
        self.bodies: list[Any] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["method"] == "POST":
            self.bodies.append(json.loads((await receive())["body"]))
        status = 200 if (b"authorization", b"Bearer sk-good") in scope["headers"] else 401
        headers = [(b"content-type", b"application/json"), (b"x-litellm-model-api-base", b"http://10.78.0.1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


Ask = Callable[..., tuple[int, dict[bytes, bytes], Any]]


@pytest.fixture
def litellm() -> LiteLLM:
    return LiteLLM()


@pytest.fixture
def ask(guard: ModuleType, litellm: LiteLLM) -> Ask:
    settings = guard.Settings(
        paths={CHAT: "POST", "/v1/models": "GET"},
        parameters=frozenset({"model", "messages", "stream", "tools"}),
        ignored=frozenset({"metadata", "user"}),
        body_bytes=1000,
        unknown_keys=3,
        engine_ports=(4001, 4003),
        person_headers={sha256(b"sk-good").hexdigest(): "X-Person"},
    )
    app = guard.Guard(litellm, settings, "sk-master")

    def ask(
        method: str,
        path: str,
        body: bytes = b"{}",
        *,
        key: str = "sk-good",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        client: str = "192.0.2.1",
        kind: str = "http",
    ) -> tuple[int, dict[bytes, bytes], Any]:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event: MutableMapping[str, Any]) -> None:
            sent.append(event)

        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": b"no-log=true",
            "client": (client, 1),
            "headers": [(b"authorization", f"Bearer {key}".encode()), *headers],
        }
        asyncio.run(app(scope, receive, send))
        return sent[0].get("status", 0), dict(sent[0].get("headers", [])), sent[-1].get("body")

    return ask


@pytest.mark.parametrize("path", ["/", "/key/info", "/v1/model/info", "/v1/models/", "//v1/models", "/V1/models"])
def test_a_client_reaches_what_is_declared(ask: Ask, litellm: LiteLLM, path: str) -> None:
    assert ask("GET", "/v1/models")[0] == 200
    assert ask("GET", path)[0] == ask("POST", path)[0] == 404
    assert len(litellm.scopes) == 1


def test_a_method_that_is_not_declared_is_not_there(ask: Ask) -> None:
    assert ask("GET", CHAT)[0] == ask("OPTIONS", CHAT)[0] == ask("POST", "/v1/models")[0] == 404


def test_the_administrator_is_who_has_the_master_key_on_this_host(ask: Ask, litellm: LiteLLM) -> None:
    ask("POST", "/key/generate", key="sk-master")
    assert litellm.scopes[-1]["path"] == "/key/generate"
    assert ask("POST", "/key/generate", key="sk-master", headers=(FORWARDED,))[0] == 404
    assert ask("GET", "/health/readiness", key="", headers=(FORWARDED,))[0] == 404


def test_nothing_but_http_is_served(ask: Ask, litellm: LiteLLM) -> None:
    ask("GET", "/v1/realtime", kind="websocket")
    assert litellm.scopes == []


def test_headers_and_query_carry_nothing_in_and_nothing_out(ask: Ask, litellm: LiteLLM) -> None:
    _, headers, _ = ask("POST", CHAT, headers=((b"x-litellm-tags", b"a"), (b"content-type", b"multipart/form-data")))
    assert headers == {b"content-type": b"application/json"}
    (scope,) = litellm.scopes
    assert dict(scope["headers"]) == {
        b"authorization": b"Bearer sk-good",
        b"content-type": b"application/json",
        b"content-length": b"2",
    }
    assert (scope["query_string"], scope["client"]) == (b"", None)


def test_what_all_clients_send_is_left_out(ask: Ask, litellm: LiteLLM) -> None:
    assert ask("POST", CHAT, b'{"model": "a", "metadata": {"tags": []}}')[0] == 200
    assert litellm.bodies == [{"model": "a"}]


@pytest.mark.parametrize(
    ("key", "header", "charged"),
    [
        ("sk-good", b"Ada@Example.org", [b"ada@example.org"]),
        ("sk-good", b" ", []),
        ("sk-other", b"ada@example.org", []),
    ],
)
def test_who_asks_is_what_the_application_says_and_nobody_else(
    ask: Ask, litellm: LiteLLM, key: str, header: bytes, charged: list[bytes]
) -> None:
    headers = ((b"x-person", header), (b"x-litellm-customer-id", b"mallory@example.org"))
    ask("POST", CHAT, b'{"user": "mallory@example.org"}', key=key, headers=headers)
    assert litellm.bodies == [{}]
    sent = litellm.scopes[-1]["headers"]
    assert [value for name, value in sent if name == b"x-litellm-customer-id"] == charged
    assert b"x-person" not in dict(sent)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"\xff", b'{"model": NaN}', b'{"model": "\\ud800"}', b'{"model": "\\u0000"}',
        b'{"model": "\\\\\\u0000"}', b'{"messages": ' + b"[" * 400 + b'"\\u0000"' + b"]" * 400 + b"}",
        b'{"stream": "x"}', b'{"no-log": true}', b'{"api_base": "http://a"}', b'{"tools": [{"type": "mcp"}]}',
        b'{"tools": {"type": "function"}}',
    ],
)  # fmt: skip
def test_a_body_that_is_more_than_it_should_be_is_refused_in_a_line(ask: Ask, litellm: LiteLLM, body: bytes) -> None:
    status, _, answer = ask("POST", CHAT, body)
    assert status == 400
    assert "\n" not in json.loads(answer)["error"]["message"]
    assert litellm.scopes == []


def test_a_backslash_before_digits_is_no_nul(ask: Ask) -> None:
    assert ask("POST", CHAT, b'{"model": "\\\\u0000"}')[0] == 200


def test_a_body_is_bounded(ask: Ask) -> None:
    assert ask("POST", CHAT, b"{" + b" " * 1000 + b"}")[0] == 413


def test_without_a_key_nobody_is_asked(ask: Ask, litellm: LiteLLM) -> None:
    assert ask("POST", CHAT, key="")[0] == 401
    assert litellm.scopes == []


def test_guesses_are_bounded_for_each_address_and_a_known_key_always_passes(ask: Ask) -> None:
    assert ask("POST", CHAT)[0] == 200
    assert [ask("POST", CHAT, key=f"sk-{n}")[0] for n in range(5)] == [401] * 3 + [429] * 2
    assert ask("POST", CHAT)[0] == 200
    assert ask("POST", CHAT, key="sk-0")[0] == 401
    assert ask("POST", CHAT, key="sk-4", client="192.0.2.9")[0] == 401
    assert ask("POST", CHAT, key="sk-5")[1][b"retry-after"] == b"60"


def test_after_a_minute_guessing_may_go_on(guard: ModuleType) -> None:
    now = 0.0
    door = guard.Doorkeeper(1, clock=lambda: now)
    door.admit("a", b"1")
    with pytest.raises(guard.Refused):
        door.admit("a", b"2")
    now = 60.0
    door.admit("a", b"2")


def test_a_key_that_became_wrong_is_a_guess_again(guard: ModuleType) -> None:
    door = guard.Doorkeeper(1)
    door.learn("a", b"1", good=True)
    door.learn("a", b"1", good=False)
    door.admit("a", b"2")
    with pytest.raises(guard.Refused):
        door.admit("a", b"1")


def test_memory_is_bounded(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REMEMBERED", 2)
    door = guard.Doorkeeper(1)
    for address in "abcd":
        door.admit(address, b"1")
        door.learn("z", address.encode(), good=True)
    assert list(door._tried) == ["c", "d"]
    assert list(door._good) == [b"c", b"d"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_a_subscriber_is_one_address(guard: ModuleType, one: str, other: str, same: bool) -> None:
    assert (guard.neighbourhood(one) == guard.neighbourhood(other)) is same


def test_the_query_engine_gets_a_port_that_is_free(guard: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="no free port"):
            guard.free_port(port, port)
    assert guard.free_port(port, port) == port
