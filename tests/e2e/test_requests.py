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

from parrotpark.verify import Endpoints

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


INTEGERS = (
    st.integers(0, 5)
    | st.integers(-2, 40)
    | st.sampled_from([0, 2**15, 2**31, 2**63 - 1, 2**63, -(2**63), 16384, 10**30])
)
NUMBERS = (
    st.floats(0, 1, width=32)
    | INTEGERS
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e-320, 1e308])
)
TEXTS = st.text(max_size=12) | st.sampled_from(["", "a" * 100_000, "\x00", "<|im_end|>", "(a+)+$", "{% for a in b %}"])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": 8}}, "required": ["a"]},
        {"type": "string", "pattern": "(a|a)*(b{1,99999}){1,99999}$"},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"enum": ["a" * 3000 + str(number) for number in range(300)]},
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        {"type": "integer", "minimum": -(10**18), "maximum": 10**18},
    ]
)
FORMATS = st.builds(
    lambda schema: {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}, SCHEMAS
) | st.sampled_from([{"type": "json_object"}, {"type": "structural_tag", "structures": [], "triggers": []}])
PARTS = st.sampled_from(
    [
        {"type": "text", "text": "Hello"},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:8001/metrics"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_embeds", "image_embeds": "gASVAAAA"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
)
TOOLS = st.builds(lambda schema: [{"type": "function", "function": {"name": "f", "parameters": schema}}], SCHEMAS)
COMMON: Mapping[str, st.SearchStrategy[Any]] = {
    "n": INTEGERS,
    "max_tokens": INTEGERS,
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": INTEGERS,
    "min_p": NUMBERS,
    "frequency_penalty": NUMBERS,
    "presence_penalty": NUMBERS,
    "repetition_penalty": NUMBERS,
    "seed": INTEGERS,
    "stop": TEXTS | st.lists(TEXTS, max_size=20),
    "logit_bias": st.dictionaries(INTEGERS.map(str) | TEXTS, NUMBERS, max_size=4),
    "response_format": FORMATS,
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    "user": TEXTS,
}
PARAMETERS: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    CHAT: {
        **COMMON,
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant", "tool", "x"]), "content": TEXTS | st.lists(PARTS)}
            ),
            max_size=3,
        ),
        "logprobs": st.booleans(),
        "top_logprobs": INTEGERS,
        "max_completion_tokens": INTEGERS,
        "tools": TOOLS,
        "tool_choice": st.sampled_from(["none", "auto", "required", {"type": "function", "function": {"name": "f"}}]),
        "parallel_tool_calls": st.booleans(),
        "reasoning_effort": TEXTS,
        "chat_template_kwargs": JSON,
    },
    COMPLETIONS: {
        **COMMON,
        "prompt": TEXTS | st.lists(TEXTS, max_size=20) | st.lists(INTEGERS, max_size=5),
        "logprobs": INTEGERS,
    },
    EMBEDDINGS: {
        "input": TEXTS | st.lists(TEXTS, max_size=20) | st.lists(INTEGERS, max_size=5) | st.lists(st.lists(INTEGERS)),
        "dimensions": INTEGERS,
        "encoding_format": st.sampled_from(["float", "base64", "bytes"]),
        "truncate_prompt_tokens": INTEGERS,
        "user": TEXTS,
    },
}
# What vLLM or LiteLLM would take, and the API does not offer.
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
    """A request that would be served, but for some parameters of any value, and rarely one that is not offered."""
    path = draw(st.sampled_from(sorted(PARAMETERS)))
    offered = PARAMETERS[path]
    names = draw(st.lists(st.sampled_from(sorted(offered)), min_size=1, max_size=3, unique=True))
    parameters = {name: draw(draw(st.sampled_from([offered[name], offered[name], JSON]))) for name in names}
    if draw(st.integers(0, 3)) == 0:
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

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
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
    [{"logprobs": True}, {"logprobs": True, "top_logprobs": 20}, {"n": 4}, {"seed": 1, "temperature": 2, "top_p": 0.5}],
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
