"""A middleware of vLLM: who may ask what. It stands before everything that vLLM answers.

vLLM's own key guards `/v1` only, and any parameter of its own, some of which end the engine or keep it busy for hours,
may stand in a request's body. Here every path but `/health` needs the key, only a few paths are there at all, and a
body may hold the parameters named below, within bounds. Everything else is a 400 that says what is wrong.

`GUARD_BOUNDS` names a JSON file with the bounds, `VLLM_API_KEY` is the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Check = Callable[[str, Any], None]

OPEN = "/health"
READ = {"/v1/models", "/metrics"}
# Of a body that has been read and is written anew.
REPLACED = {b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"}
DEPTH = 32  # levels of lists and objects within one another
SCHEMA_NODES = 512
SCHEMA_LENGTH = 2**14
SCHEMA_REPEATS = 512  # of characters and items, together: each is a rule of the grammar
# What a grammar is compiled from in moments. A regular expression may take for ever, so `pattern` is not among them.
SCHEMA_WORDS = {
    "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "definitions", "description", "enum",
    "examples", "exclusiveMaximum", "exclusiveMinimum", "items", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "oneOf", "prefixItems", "properties", "required", "strict", "title", "type",
}  # fmt: skip
INT32, INT64 = 2**31 - 1, 2**63 - 1
TOKENS = 2**20


class Refused(Exception):
    """The request is not served; the message is one line for whoever sent it."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one request may ask for."""

    choices: int
    tokens: int
    logprobs: int
    prompts: int
    inputs: int
    body_bytes: int


def number(low: float, high: float) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Refused(f"{name} must be a number from {low} to {high}")

    return check


def integer(low: int, high: int) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Refused(f"{name} must be a whole number from {low} to {high}")

    return check


def flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false")


def text(most: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            raise Refused(f"{name} must be a text of 1 to {most} characters")

    return check


def one_of(*values: Any) -> Check:
    def check(name: str, value: Any) -> None:
        if not any(value is known or (isinstance(value, str) and value == known) for known in values):
            raise Refused(f"{name} must be one of {', '.join(map(json.dumps, values))}")

    return check


def list_of(check_item: Check, most: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise Refused(f"{name} must be a list of 1 to {most}")
        for item in value:
            check_item(name, item)

    return check


def either(first: Check, second: Check) -> Check:
    """The second of two says what is wrong: let it be the longer one."""

    def check(name: str, value: Any) -> None:
        try:
            first(name, value)
        except Refused:
            second(name, value)

    return check


def fields(known: Mapping[str, Check], *needed: str) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise Refused(f"{name} must be an object")
        for key in needed:
            if key not in value:
                raise Refused(f"{name} needs {key}")
        for key, item in value.items():
            if key not in known:
                raise Refused(f"{name} cannot hold {json.dumps(key[:64])} here")
            if item is not None:
                known[key](f"{name}.{key}", item)

    return check


def anything(name: str, value: Any) -> None:
    """For what vLLM reads as text or not at all."""


def string(name: str, value: Any) -> None:
    """A text as long as the body may be, empty included."""
    if not isinstance(value, str):
        raise Refused(f"{name} must be a text")


token = integer(0, INT32)


def texts(most: int) -> Check:
    """One text or several, as text or as the numbers of its tokens."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list) or not value:
            raise Refused(f"{name} must be a text, or a list of texts or of tokens")
        if type(value[0]) is int:
            list_of(token, TOKENS)(name, value)
            return
        if len(value) > most:
            raise Refused(f"{name} must be at most {most}")
        for item in value:
            if isinstance(item, list):
                list_of(token, TOKENS)(name, item)
            else:
                string(name, item)

    return check


def logit_bias(name: str, value: Any) -> None:
    bias = number(-100, 100)
    if not isinstance(value, dict) or len(value) > 300:
        raise Refused(f"{name} must be an object with at most 300 tokens")
    for token, amount in value.items():
        if not (token.isascii() and token.isdigit() and int(token[:11]) <= INT32):
            raise Refused(f"{name} must name tokens by number")
        bias(name, amount)


def inline(name: str, value: Any) -> None:
    """A picture comes with the request: a server that fetches what others name is a way into its network."""
    if not isinstance(value, str) or not value.startswith("data:image/"):
        raise Refused(f"{name} must begin with data:image/, as nothing is fetched")


def part(name: str, value: Any) -> None:
    kinds = {
        "text": fields({"type": anything, "text": string}, "text"),
        "image_url": fields(
            {"type": anything, "image_url": fields({"url": inline, "detail": text(16)}, "url")}, "image_url"
        ),
    }
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        types = ", ".join(kinds)
        raise Refused(f"{name} may be a text or a list of parts of the types {types}: for a document, send its text")
    kinds[kind](name, value)


call = fields(
    {
        "id": text(256),
        "index": integer(0, INT32),
        "type": one_of("function"),
        "function": fields({"name": text(256), "arguments": string}, "name", "arguments"),
    },
    "function",
)
message = fields(
    {
        "role": one_of("system", "developer", "user", "assistant", "tool", "function"),
        "content": either(string, list_of(part, 1024)),
        "name": text(256),
        "refusal": string,
        "reasoning": string,
        "reasoning_content": string,
        "tool_call_id": text(256),
        "tool_calls": list_of(call, 128),
    },
    "role",
)


def schema(name: str, value: Any) -> None:
    """A JSON schema that a grammar can be made from before anybody tires of waiting."""
    if len(json.dumps(value)) > SCHEMA_LENGTH:
        raise Refused(f"{name} must be at most {SCHEMA_LENGTH} characters")
    nodes = [value]
    seen = repeats = 0
    while nodes and seen <= SCHEMA_NODES:
        node = nodes.pop()
        seen += 1
        if isinstance(node, list):
            nodes += node
            continue
        if not isinstance(node, dict):
            continue
        for word, item in node.items():
            if word not in SCHEMA_WORDS:
                raise Refused(f"{name} cannot use {json.dumps(word[:64])} here")
            if word in ("maxItems", "maxLength", "minItems", "minLength"):
                integer(0, SCHEMA_REPEATS)(f"{name}.{word}", item)
                repeats += item
            elif word in ("properties", "$defs", "definitions") and isinstance(item, dict):
                nodes += item.values()
            elif word in ("enum", "examples", "const", "default", "required"):
                seen += len(item) if isinstance(item, list) else 1
            else:
                nodes.append(item)
    if repeats > SCHEMA_REPEATS:
        raise Refused(f"{name} must ask for at most {SCHEMA_REPEATS} characters and items by number")
    if seen > SCHEMA_NODES:
        raise Refused(f"{name} must have at most {SCHEMA_NODES} parts")


response_format = fields(
    {
        "type": one_of("text", "json_object", "json_schema"),
        "json_schema": fields(
            {"name": text(256), "description": string, "schema": schema, "strict": flag}, "name", "schema"
        ),
    },
    "type",
)


def tool(check_parameters: Check) -> Check:
    return fields(
        {
            "type": one_of("function"),
            "function": fields(
                {"name": text(256), "description": string, "parameters": check_parameters, "strict": flag}, "name"
            ),
        },
        "type",
        "function",
    )


tool_choice = either(
    one_of("none", "auto", "required"),
    fields({"type": one_of("function"), "function": fields({"name": text(256)}, "name")}, "type", "function"),
)


def parameters(bounds: Bounds) -> dict[str, dict[str, Check]]:
    """Per path what a body may hold."""
    sampling: dict[str, Check] = {
        "model": text(256),
        "user": text(256),
        "frequency_penalty": number(-2, 2),
        "presence_penalty": number(-2, 2),
        "repetition_penalty": number(0.1, 2),
        "logit_bias": logit_bias,
        "max_tokens": integer(1, bounds.tokens),
        "n": integer(1, bounds.choices),
        "seed": integer(-INT64, INT64),
        "stop": either(text(256), list_of(text(256), 4)),
        "stream": flag,
        "stream_options": fields({"include_usage": flag, "continuous_usage_stats": flag}),
        "temperature": number(0, 2),
        "top_p": number(0.001, 1),
        "top_k": integer(-1, INT32),
        "min_p": number(0, 1),
        "response_format": response_format,
    }
    embedding: dict[str, Check] = {
        "model": text(256),
        "user": text(256),
        "encoding_format": one_of("float", "base64"),
        "dimensions": integer(1, 2**16),
        "truncate_prompt_tokens": integer(-1, 2**20),
    }
    ranking: dict[str, Check] = {
        **embedding,
        "query": string,
        "documents": list_of(string, bounds.inputs),
        "top_n": integer(0, bounds.inputs),
        "return_documents": flag,
    }
    return {
        "/v1/chat/completions": {
            **sampling,
            "messages": list_of(message, 4096),
            "max_completion_tokens": integer(1, bounds.tokens),
            "logprobs": flag,
            "top_logprobs": integer(0, bounds.logprobs),
            "tools": list_of(tool(anything), 128),
            "tool_choice": tool_choice,
            "parallel_tool_calls": flag,
            "reasoning_effort": text(16),
            "chat_template_kwargs": fields({"enable_thinking": flag, "thinking": flag}),
        },
        "/v1/completions": {
            **sampling,
            "prompt": texts(bounds.prompts),
            "logprobs": integer(0, bounds.logprobs),
        },
        "/v1/embeddings": {**embedding, "input": texts(bounds.inputs)},
        "/v1/rerank": ranking,
    }


def judge(known: Mapping[str, Check], body: Any) -> dict[str, Any]:
    """The body as vLLM shall read it: without what is null, which means not given. Raises Refused."""
    if not isinstance(body, dict):
        raise Refused("the body must be an object")
    given = {name: value for name, value in body.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            raise Refused(f"{json.dumps(name[:64])} is not a parameter here")
        known[name](name, value)
    if given.get("tool_choice", "auto") not in ("auto", "none"):
        # Only then is a grammar made of what the tools take.
        for item in given.get("tools", []):
            tool(schema)("tools", item)
    return given


def parse(body: bytes) -> Any:
    """Read JSON as everybody does, and nothing that only some do. Raises Refused."""
    try:
        value = json.loads(body, parse_constant=not_json)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if depth(value) > DEPTH:
        raise Refused(f"the body has more than {DEPTH} levels")
    return value


def not_json(word: str) -> None:
    raise ValueError(word)


def depth(value: Any) -> int:
    """How many levels of lists and objects; what is deeper than we count is one more."""
    level, levels = [value], 0
    while level and levels <= DEPTH:
        levels += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return levels


class Guard:
    """The middleware, as vLLM's `--middleware` asks for it: a class that is given the application."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._key = hashlib.sha256(os.environ["VLLM_API_KEY"].encode()).digest()
        self._bounds = Bounds(**json.loads(Path(os.environ["GUARD_BOUNDS"]).read_text()))
        self._parameters = parameters(self._bounds)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                receive = await self._admit(scope, receive)
            except Refused as refusal:
                await answer(send, refusal)
                return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Message, receive: Receive) -> Receive:
        """What the application shall receive. Raises Refused."""
        path, method = scope["path"], scope["method"]
        if path == OPEN and method in ("GET", "HEAD"):
            return receive
        if not self._knows(scope):
            raise Refused("the key is missing or wrong", HTTPStatus.UNAUTHORIZED)
        if path in READ and method in ("GET", "HEAD"):
            return receive
        if path not in self._parameters or method != "POST":
            raise Refused("nothing is served here", HTTPStatus.NOT_FOUND)
        body = json.dumps(judge(self._parameters[path], parse(await read(receive, self._bounds.body_bytes)))).encode()
        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name not in REPLACED),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        scope["query_string"] = b""
        return replay(body, receive)

    def _knows(self, scope: Message) -> bool:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = sent.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(hashlib.sha256(key).digest(), self._key)


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
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_event() -> Message:
        return events.pop() if events else await receive()

    return next_event


async def answer(send: Send, refusal: Refused) -> None:
    error = {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": refusal.status}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
