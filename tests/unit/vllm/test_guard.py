"""What a request to a model may hold, and who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import load

KEY = "the-key"
BOUNDS = {"choices": 4, "tokens": 1000, "logprobs": 20, "prompts": 2, "inputs": 3, "body_bytes": 30_000}
CHAT = "/v1/chat/completions"
CALLED = {"name": "f", "arguments": "{}"}
HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "Hello"}]}

guard = load("roles/vllm/files/guard.py")


class Engine:
    """Stands in for vLLM: keeps what it is asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        if scope["method"] == "POST":
            self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def answering(schema: dict[str, Any]) -> dict[str, Any]:
    """In the form of a schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}


def calling(choice: str) -> dict[str, Any]:
    """A tool whose parameters have a regular expression."""
    function = {"name": "f", "parameters": {"pattern": "a"}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}


def saying(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def guarded(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "bounds.json").write_text(json.dumps(BOUNDS))
    monkeypatch.setenv("GUARD_BOUNDS", str(tmp_path / "bounds.json"))
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    return guard.Guard(engine)


def ask(app: Any, method: str, path: str, *chunks: bytes, key: str | None = KEY, kind: str = "http") -> tuple[int, Any]:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    events.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return events.pop(0)

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    scope = {"type": kind, "method": method, "path": path, "headers": headers, "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return sent[0].get("status", 0), sent[-1].get("body") or b"{}"


def chat(app: Any, **more: Any) -> tuple[int, str]:
    status, body = ask(app, "POST", CHAT, json.dumps(HELLO | more).encode())
    return status, json.loads(body).get("error", {}).get("message", "")


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", CHAT, "/tokenize", "/docs", "/invocations", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "DELETE"])
@pytest.mark.parametrize("key", [None, "", "another"])
def test_everything_but_health_needs_the_key(
    guarded: Any, engine: Engine, path: str, method: str, key: str | None
) -> None:
    assert ask(guarded, method, path, key=key)[0] == 401
    assert ask(guarded, "GET", "/health", key=key)[0] == 200
    assert engine.paths == ["/health"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", CHAT), ("POST", "/tokenize"), ("POST", "/v1/models"), ("OPTIONS", CHAT), ("GET", "/docs")],
)
def test_little_is_there_at_all(guarded: Any, method: str, path: str) -> None:
    assert ask(guarded, method, path)[0] == 404


@pytest.mark.parametrize("path", ["/v1/models", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_key_reads_what_is_there(guarded: Any, engine: Engine, method: str, path: str) -> None:
    assert ask(guarded, method, path)[0] == 200
    assert engine.paths == [path]


def test_nothing_but_http_is_served(guarded: Any, engine: Engine) -> None:
    ask(guarded, "GET", "/v1/realtime", kind="websocket")
    assert engine.paths == []


@pytest.mark.parametrize(
    "more",
    [
        {"logprobs": True, "top_logprobs": 20, "n": 4, "max_completion_tokens": 1000, "seed": -1, "stop": ["\n", "."]},
        {"temperature": 0, "top_p": 0.9, "top_k": -1, "stream": True, "stream_options": {"include_usage": True}},
        {"logit_bias": {"5": -100}, "user": None, "max_tokens": None},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"},
        answering({"properties": {"pattern": {}, "b": True}}),
        calling("auto"),
        saying({"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}),
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": CALLED}]}]},
    ],
)  # fmt: skip
def test_openais_parameters_pass(guarded: Any, engine: Engine, more: dict[str, Any]) -> None:
    assert chat(guarded, **more) == (200, "")
    given_to_engine = {name: value for name, value in (HELLO | more).items() if value is not None}
    assert json.loads(engine.bodies[-1]) == given_to_engine


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n": 5}, "n must be a whole number from 1 to 4"),
        ({"n": True}, "n must be"),
        ({"stream": 1}, "stream must be true or false"),
        ({"tools": [{"type": "function"}]}, "needs function"),
        ({"tools": [{"type": "function", "function": {}}]}, "needs name"),
        (answering({"enum": [[[[[[[[[[[[[[[[[[[[[[[[[[[["a"]]]]]]]]]]]]]]]]]]]]]]]]]]]]}), "more than 32 levels"),
        (answering({"anyOf": [{"pattern": "a"}]}), 'cannot use "pattern"'),
        ({"max_tokens": 1001}, "max_tokens must be"),
        ({"top_logprobs": 21}, "top_logprobs must be"),
        ({"top_logprobs": -1}, "top_logprobs must be"),
        ({"prompt_logprobs": 1}, '"prompt_logprobs" is not a parameter here'),
        ({"best_of": 2}, '"best_of" is not'),
        ({"temperature": 2.1}, "temperature must be"),
        ({"stop": ["a"] * 5}, "stop must be a list of 1 to 4"),
        ({"stop": "a" * 257}, "stop must be"),
        ({"logit_bias": {"a": 1}}, "logit_bias must name tokens by number"),
        ({"logit_bias": {str(n): 1 for n in range(301)}}, "at most 300"),
        ({"vllm_xargs": {}}, '"vllm_xargs" is not'),
        ({"kv_transfer_params": {}}, '"kv_transfer_params" is not'),
        ({"chat_template": "{{ 1 }}"}, '"chat_template" is not'),
        ({"chat_template_kwargs": {"chat_template": "a"}}, "chat_template_kwargs cannot hold"),
        ({"structured_outputs": {"regex": "a"}}, '"structured_outputs" is not'),
        ({"response_format": {"type": "structural_tag"}}, "response_format.type must be one of"),
        ({"response_format": {"type": "json_schema"}, "guided_regex": "a"}, '"guided_regex" is not'),
        (answering({"items": {"pattern": "a"}}), 'cannot use "pattern"'),
        (answering({"maxLength": 10**6}), "maxLength must be"),
        (answering({"enum": ["a"] * 600}), "at most 512 parts"),
        (answering({"properties": {name: {"maxLength": 300} for name in "ab"}}), "at most 512 characters and items"),
        (answering({"enum": ["a" * 2**14]}), "at most 16384 characters"),
        (calling("required"), 'cannot use "pattern"'),
        ({"tools": [{"type": "mcp", "function": {"name": "f"}}]}, 'type must be one of "function"'),
        ({"messages": []}, "messages must be a list of 1 to 4096"),
        (saying({"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}), "nothing is fetched"),
        (saying({"type": "image_embeds", "image_embeds": ""}), "parts of the types"),
        ({"messages": [{"role": "root", "content": ""}]}, "role must be one of"),
    ],
)  # fmt: skip
def test_what_is_too_much_or_unknown_is_refused_in_a_line(
    guarded: Any, engine: Engine, more: dict[str, Any], words: str
) -> None:
    status, message = chat(guarded, **more)
    assert status == 400
    assert words in message
    assert "\n" not in message
    assert engine.paths == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"temperature": NaN}', b'{"temperature": 1e999}', b'{"model": "\\ud800"}', b"\xff",
     b'{"seed": ' + b"1" * 5000 + b"}", b"[" * 5000, b'{"messages": ' + b"[" * 40 + b"]" * 40 + b"}"],
)  # fmt: skip
def test_what_is_not_json_is_refused(guarded: Any, engine: Engine, body: bytes) -> None:
    assert ask(guarded, "POST", CHAT, body)[0] == 400
    assert engine.paths == []


def test_a_body_is_bounded_however_it_comes(guarded: Any) -> None:
    assert ask(guarded, "POST", CHAT, *[b"a" * 1000] * 31)[0] == 413


@pytest.mark.parametrize(
    ("path", "name", "good", "bad"),
    [
        ("/v1/completions", "prompt", ["a", "b"], ["a", "b", "c"]),
        ("/v1/completions", "prompt", [1, 2, 3, 4, 5], [1, -1]),
        ("/v1/completions", "prompt", [[1], [2]], [[1], [[2]]]),
        ("/v1/completions", "logprobs", 20, 21),
        ("/v1/completions", "model", "a", ""),
        ("/v1/embeddings", "input", ["a", "b", "c"], ["a"] * 4),
        ("/v1/embeddings", "input", "a", []),
        ("/v1/embeddings", "encoding_format", "base64", "bytes"),
        ("/v1/rerank", "documents", ["a"], [["a"]]),
    ],
)
def test_each_path_has_its_bounds(guarded: Any, path: str, name: str, good: Any, bad: Any) -> None:
    assert ask(guarded, "POST", path, json.dumps({name: good}).encode())[0] == 200
    assert ask(guarded, "POST", path, json.dumps({name: bad}).encode())[0] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
PARAMETERS = guard.parameters(guard.Bounds(**BOUNDS))


@pytest.mark.parametrize("path", PARAMETERS)
@given(value=JSON, position=st.integers(min_value=0))
def test_whatever_is_sent_is_passed_on_as_it_is_or_refused(path: str, value: Any, position: int) -> None:
    names = sorted(PARAMETERS[path])
    body = {names[position % len(names)]: value}
    with contextlib.suppress(guard.Refused):
        judged = guard.judge(PARAMETERS[path], guard.parse(json.dumps(body).encode()))
        assert judged == ({} if value is None else body)
