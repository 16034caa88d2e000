"""Nothing that a program sends ends or blocks an engine: every parameter of the API, varied at random."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testinfra.host import Host

from parrotpark.control.verify import Endpoints

EXAMPLES = 60
ENGINE_SECONDS = 60  # within which it must answer a plain question, whatever it was asked before
CHAT, COMPLETIONS, EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
# What an API may say of a request: that it is served, or what is wrong with it. Not that something broke.
SAID = {200, 400, 404, 413, 422}

Http = httpx2.Client


@pytest.fixture(scope="module")
def http(endpoints: Endpoints, tls: ssl.SSLContext) -> Iterator[Http]:
    headers = {"Authorization": f"Bearer {endpoints.api_key}"}
    with Http(base_url=endpoints.api, verify=tls, trust_env=False, headers=headers, timeout=ENGINE_SECONDS) as http:
        yield http


def engines(gpu: Host) -> str:
    return str(gpu.check_output("systemctl show --property=Id,MainPID,InvocationID 'vllm@*'"))


def ask_plainly(http: Http, endpoints: Endpoints) -> None:
    """Have both engines answer."""
    hello = {"model": endpoints.chat_model, "prompt": "Hello", "max_tokens": 1}
    assert http.post(COMPLETIONS, json=hello).status_code == HTTPStatus.OK
    assert (
        http.post(EMBEDDINGS, json={"model": endpoints.embedding_model, "input": "Hello"}).status_code == HTTPStatus.OK
    )


INTEGERS = st.integers(-2, 40) | st.sampled_from([2**15, 2**31, 2**63 - 1, 2**63, -(2**63), 16384, 10**30])
NUMBERS = INTEGERS | st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([1e-320, 1e308])
TEXTS = st.text(max_size=12) | st.sampled_from(["", "a" * 100_000, "\x00", "<|im_end|>", "(a+)+$", "{% for a in b %}"])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "string", "maxLength": 8}}, "required": ["a"]},
    {"type": "array", "maxItems": 3, "items": {"type": "integer", "minimum": -(10**18), "maximum": 10**18}},
    {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
]
EVIL_SCHEMAS = [
    {"type": "string", "pattern": "(a|a)*(b{1,99999}){1,99999}$"},
    {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
    {"enum": ["a" * 3000 + str(number) for number in range(300)]},
]
PARTS = [
    {"type": "image_url", "image_url": {"url": "http://127.0.0.1:8001/metrics"}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "image_embeds", "image_embeds": "gASVAAAA"},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
]


def answer_in(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def tool_taking(schema: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "parameters": schema}}]


def said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


# What a parameter is meant to be, and is served with.
COMMON: Mapping[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 4),
    "max_tokens": st.integers(1, 4),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0.001, 1),
    "top_k": st.integers(-1, 2**31 - 1),
    "min_p": st.floats(0, 1),
    "frequency_penalty": st.floats(-2, 2),
    "presence_penalty": st.floats(-2, 2),
    "repetition_penalty": st.floats(0.1, 2),
    "seed": st.integers(-(2**63) + 1, 2**63 - 1),
    "stop": st.lists(st.text(min_size=1, max_size=256), min_size=1, max_size=4),
    "logit_bias": st.dictionaries(st.integers(0, 1000).map(str), st.floats(-100, 100), max_size=8),
    "response_format": st.sampled_from([{"type": "json_object"}, *map(answer_in, SCHEMAS)]),
    "stream": st.booleans(),
    "user": st.text(min_size=1, max_size=64),
}
OFFERED: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    CHAT: {
        **COMMON,
        "messages": st.lists(st.text(max_size=64), min_size=1, max_size=3).map(
            lambda texts: [message for text in texts for message in said(text)]
        ),
        "logprobs": st.booleans(),
        "max_completion_tokens": st.integers(1, 4),
        "tools": st.sampled_from([tool_taking(schema) for schema in SCHEMAS]),
        "parallel_tool_calls": st.booleans(),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "chat_template_kwargs": st.fixed_dictionaries({"enable_thinking": st.booleans()}),
    },
    COMPLETIONS: {
        **COMMON,
        "prompt": st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=4)
        | st.lists(st.integers(0, 1000), min_size=1, max_size=64),
        "logprobs": st.integers(0, 20),
    },
    EMBEDDINGS: {
        "input": st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=32)
        | st.lists(st.integers(0, 1000), min_size=1, max_size=64),
        "encoding_format": st.sampled_from(["float", "base64"]),
        "user": st.text(min_size=1, max_size=64),
    },
}
WILD = (
    JSON
    | st.sampled_from([answer_in(schema) for schema in EVIL_SCHEMAS] + [tool_taking(schema) for schema in EVIL_SCHEMAS])
    | st.sampled_from([said([part]) for part in PARTS] + [said(text) for text in ("", "a" * 100_000, "\x00")])
    | st.lists(INTEGERS, max_size=5)
    | st.lists(TEXTS, max_size=20)
)
# What vLLM or LiteLLM would take, and the API does not offer, or not alone.
OTHERS: Mapping[str, st.SearchStrategy[Any]] = {
    "best_of": INTEGERS,
    "min_tokens": INTEGERS,
    "prompt_logprobs": INTEGERS,
    "structured_outputs": st.sampled_from([{"regex": "((a{1,9999}){1,9999})+"}, {"grammar": "root ::= root"}]),
    "echo": st.booleans(),
    "suffix": TEXTS,
    "ignore_eos": st.booleans(),
    "use_beam_search": st.booleans(),
    "length_penalty": NUMBERS,
    "bad_words": st.lists(TEXTS, max_size=3),
    "allowed_token_ids": st.lists(INTEGERS, max_size=3),
    "stop_token_ids": st.lists(INTEGERS, max_size=3),
    "truncate_prompt_tokens": INTEGERS,
    "priority": INTEGERS,
    "request_id": TEXTS,
    "cache_salt": TEXTS,
    "vllm_xargs": JSON,
    "kv_transfer_params": JSON,
    "tool_choice": st.sampled_from(["required", {"type": "function", "function": {"name": "f"}}]),
    "top_logprobs": INTEGERS,
    "dimensions": INTEGERS,
    "metadata": JSON,
    "no-log": st.booleans(),
    "api_base": st.just("http://127.0.0.1:4000/v1"),
    "timeout": NUMBERS,
    "chat_template": TEXTS,
    "add_generation_prompt": st.booleans(),
    "continue_final_message": st.booleans(),
    "mm_processor_kwargs": JSON,
    "prompt_embeds": TEXTS,
    "padding": st.sampled_from(["max_length", "longest"]),
    "task": TEXTS,
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Parameters as they are meant to be; in two of three requests one of them is not, or not offered at all."""
    path = draw(st.sampled_from(sorted(OFFERED)))
    offered = OFFERED[path]
    names = draw(st.lists(st.sampled_from(sorted(offered)), max_size=4, unique=True))
    parameters = {name: draw(offered[name]) for name in names}
    match draw(st.sampled_from(["sane", "wild", "not offered"])):
        case "wild":
            parameters[draw(st.sampled_from(sorted(offered)))] = draw(WILD)
        case "not offered":
            name = draw(st.sampled_from(sorted(OTHERS)))
            parameters[name] = draw(OTHERS[name])
    return path, parameters


SENSIBLE: Mapping[str, Mapping[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2},
    COMPLETIONS: {"prompt": "Hello", "max_tokens": 2},
    EMBEDDINGS: {"input": "Hello"},
}


def test_whatever_is_sent_the_engines_answer_afterwards_and_are_the_same(
    http: Http, endpoints: Endpoints, gpu: Host
) -> None:
    before = engines(gpu)
    models = {CHAT: endpoints.chat_model, COMPLETIONS: endpoints.chat_model, EMBEDDINGS: endpoints.embedding_model}

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(requests())
    def send(request: tuple[str, dict[str, Any]]) -> None:
        path, parameters = request
        answer = http.post(path, json={"model": models[path], **SENSIBLE[path], **parameters})
        assert answer.status_code in SAID, (parameters, answer.text)
        if answer.status_code != HTTPStatus.OK:
            assert json.loads(answer.text)["error"]["message"].strip()
        ask_plainly(http, endpoints)

    send()
    assert engines(gpu) == before


@pytest.mark.parametrize(
    "parameters",
    [
        {"logprobs": True},
        {"logprobs": True, "top_logprobs": 20},
        {"n": 4, "temperature": 1},
        {"seed": 1, "temperature": 2, "top_p": 0.5},
    ],
    ids=json.dumps,
)
def test_what_the_api_offers_is_served(http: Http, endpoints: Endpoints, parameters: dict[str, Any]) -> None:
    request = {"model": endpoints.chat_model, **SENSIBLE[CHAT], **parameters}
    assert http.post(CHAT, json=request).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("name", "value"), [("n", 16384), ("prompt_logprobs", 1), ("no-log", True), ("max_tokens", 10**9), ("logprobs", 5)]
)
def test_what_is_refused_is_told_in_a_line(http: Http, endpoints: Endpoints, name: str, value: Any) -> None:
    answer = http.post(CHAT, json={"model": endpoints.chat_model, **SENSIBLE[CHAT], name: value})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    message = json.loads(answer.text)["error"]["message"]
    assert name in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "path", ["/v1/vector_stores", "/v1/containers", "/v1/rag/query", "/v1/model/info", "/V1/files"]
)
def test_the_front_door_has_no_other_paths(http: Http, endpoints: Endpoints, path: str) -> None:
    for method in ("GET", "POST"):
        answer = http.request(method, endpoints.chat + path)
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert json.loads(answer.text)["error"]["message"]


def test_answers_tell_nothing_of_the_inside(http: Http) -> None:
    headers = http.get("/models").headers
    assert not [name for name in headers if name.startswith(("x-litellm", "llm_provider", "server"))]
    assert "10.78." not in str(headers)
