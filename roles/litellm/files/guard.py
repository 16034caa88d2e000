"""What stands before LiteLLM: it lets clients do what is declared, and nothing else of all that LiteLLM can.

LiteLLM answers hundreds of paths, some of which call other services, and reads settings of its own from headers, query
and body of a request, with which a caller can turn off the count of what is spent. Here a client may send a few paths a
JSON object of known parameters with a key, and sees of the answer what is meant for clients. Whoever guesses keys may
try a few a minute. The administrator, who holds the master key on this host, passes as LiteLLM itself decides.

Whom a request is charged to besides its key, only certain keys may say: an application that people sign in to names the
person in a header. What others say of it is left out.

`uvicorn --factory guard:make` runs it. `GUARD_SETTINGS` names a JSON file with the settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

READY = "/health/readiness"
HEADERS_IN = {b"host", b"authorization", b"accept", b"user-agent"}
PERSON = b"x-litellm-customer-id"  # whom LiteLLM charges besides the key
HEADERS_OUT = {b"content-type", b"content-length", b"cache-control", b"retry-after"}
# PostgreSQL takes no such character: one request would spoil the record of many.
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# What LiteLLM would stumble over; and what it takes for a stream, a model's server may not.
SHAPES: Mapping[str, tuple[Any, ...]] = {
    "stream": ("true or false", bool),
    "stream_options": ("an object", dict),
    "prompt": ("a text or a list", str, list),
    "input": ("a text or a list", str, list),
    "tools": ("a list", list),
}
REMEMBERED = 10_000  # keys and addresses; what is older is forgotten
MINUTE = 60.0


class Refused(Exception):
    """The request is not let through; the message is one line for whoever sent it."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Settings:
    """What clients may do."""

    paths: Mapping[str, str]  # path -> method
    parameters: frozenset[str]
    ignored: frozenset[str]  # parameters that mean nothing here, and harm nobody
    body_bytes: int
    unknown_keys: int  # that one address may try in a minute
    engine_ports: tuple[int, int]  # the first and the last
    person_headers: Mapping[str, str]  # SHA-256 of a key -> header in which its owner names the person who asks

    @classmethod
    def read(cls, file: Path) -> Settings:
        given: dict[str, Any] = json.loads(file.read_text())
        return cls(**given | {name: frozenset(given[name]) for name in ("parameters", "ignored")})

    def person(self, key: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        """The mail address of the person who asks; empty where the key's owner may not or does not say."""
        header = self.person_headers.get(key.hex(), "")
        return headers.get(header.lower().encode(), b"").strip().lower()


@dataclass(slots=True)
class Doorkeeper:
    """Remembers which keys were good, and how many others each address has tried of late.

    A key that was good is let through always: nobody can lock out its owner by guessing from the same address. A wrong
    key that is sent again and again is no guess.
    """

    unknown_keys: int
    clock: Callable[[], float] = time.monotonic
    _good: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _tried: OrderedDict[str, tuple[float, set[bytes]]] = field(default_factory=OrderedDict)

    def admit(self, address: str, key: bytes) -> None:
        """Raises Refused for one guess too many."""
        if key in self._good:
            return
        began, tried = self._tried.get(address, (self.clock(), set()))
        if self.clock() - began >= MINUTE:
            began, tried = self.clock(), set()
        if key not in tried and len(tried) >= self.unknown_keys:
            raise Refused("too many wrong keys from this address: wait a minute", HTTPStatus.TOO_MANY_REQUESTS)
        tried.add(key)
        remember(self._tried, address, (began, tried))

    def learn(self, address: str, key: bytes, *, good: bool) -> None:
        if not good:
            self._good.pop(key, None)
            return
        remember(self._good, key, None)
        if address in self._tried:
            self._tried[address][1].discard(key)


def remember[K, V](memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def neighbourhood(address: str) -> str:
    """The address, or for IPv6 the network that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{parsed}/64", strict=False)) if parsed.version == 6 else str(parsed)


def key_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The hash of the key that was sent. Raises Refused when there is none."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        raise Refused("the key is missing: send it as Authorization: Bearer", HTTPStatus.UNAUTHORIZED)
    return hashlib.sha256(key.strip()).digest()


def judge(settings: Settings, body: bytes) -> bytes:
    """The body as LiteLLM shall read it. Raises Refused."""
    try:
        given = json.loads(body)
        text = json.dumps(given, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refused("the body must be an object")
    if NUL.search(text):
        raise Refused("the body holds a NUL character")
    for name in given:
        if name not in settings.parameters | settings.ignored:
            raise Refused(f"{json.dumps(name[:64])} is not a parameter here")
    for name, (words, *kinds) in SHAPES.items():
        if given.get(name) is not None and type(given[name]) not in kinds:
            raise Refused(f"{name} must be {words}")
    if any(not isinstance(tool, dict) or tool.get("type") != "function" for tool in given.get("tools") or []):
        raise Refused("tools must be of the type function")
    return json.dumps({name: value for name, value in given.items() if name in settings.parameters}).encode()


class Guard:
    """The application that a server runs in place of LiteLLM's."""

    def __init__(self, app: App, settings: Settings, master_key: str) -> None:
        self._app = app
        self._settings = settings
        self._master = hashlib.sha256(master_key.encode()).digest()
        self._door = Doorkeeper(settings.unknown_keys)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            try:
                await self._serve(scope, receive, send)
            except Refused as refusal:
                await answer(send, refusal)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self._administers(scope, headers):
            await self._app(scope, receive, send)
            return
        if self._settings.paths.get(scope["path"]) != scope["method"]:
            raise Refused("nothing is served here", HTTPStatus.NOT_FOUND)
        key = key_of(headers)
        address = neighbourhood((scope.get("client") or ("",))[0])
        self._door.admit(address, key)

        kept = [(name, value) for name, value in scope["headers"] if name in HEADERS_IN]
        if person := self._settings.person(key, headers):
            kept.append((PERSON, person))
        if scope["method"] == "POST":
            body = judge(self._settings, await read(receive, self._settings.body_bytes))
            kept += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            receive = replay(body, receive)

        async def send_less(event: Message) -> None:
            if event["type"] == "http.response.start":
                self._door.learn(address, key, good=event["status"] != HTTPStatus.UNAUTHORIZED)
                event["headers"] = [pair for pair in event.get("headers", []) if pair[0].lower() in HEADERS_OUT]
            await send(event)

        # LiteLLM would keep the address for as long as what was spent.
        await self._app({**scope, "headers": kept, "query_string": b"", "client": None}, receive, send_less)

    def _administers(self, scope: Message, headers: Mapping[bytes, bytes]) -> bool:
        """Whether this comes from the host itself, not through its front door, and with the master key."""
        if b"x-forwarded-for" in headers:
            return False
        if scope["path"] == READY:
            return True
        try:
            return hmac.compare_digest(key_of(headers), self._master)
        except Refused:
            return False


async def read(receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refused when it is too long or its sender has gone."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise Refused("the request was cut off")
        body += event.get("body", b"")
        if len(body) > most:
            raise Refused(f"the body must be at most {most} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not event.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Hand out the body that was read; then whatever else comes, such as that the client has gone."""
    events: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_event() -> Message:
        return events.pop() if events else await receive()

    return next_event


async def answer(send: Send, refusal: Refused) -> None:
    error = {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": str(refusal.status.value)}
    body = json.dumps({"error": error}).encode()
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *([(b"retry-after", b"60")] if refusal.status == HTTPStatus.TOO_MANY_REQUESTS else []),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def free_port(first: int, last: int) -> int:
    """A port that nobody listens on; not the same for all workers that look at once. Raises OSError."""
    ports = range(first, last + 1)
    for offset in range(len(ports)):
        port = ports[(os.getpid() + offset) % len(ports)]
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port from {first} to {last} for the query engine")


def make() -> Guard:
    """For a server."""
    # Imported late: it reads its settings and takes seconds.
    from litellm.proxy.proxy_server import app
    from prisma.engine import utils

    settings = Settings.read(Path(os.environ["GUARD_SETTINGS"]))
    # Prisma would take any port; the firewall keeps everybody else from these.
    utils.get_open_port = lambda: free_port(*settings.engine_ports)
    return Guard(app, settings, os.environ["LITELLM_MASTER_KEY"])
