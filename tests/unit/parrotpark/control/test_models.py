"""One list of models; what every part is told follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control.models import (
    TOOL_PARAMETERS,
    ModelError,
    catalogue,
    chat_models,
    endpoints,
    first_model,
    folders,
    litellm_models,
    open_ports,
    source,
    vllm_models,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHAT: dict[str, Any] = {"source": f"Qwen/Qwen3-0.6B@{COMMIT}", "purpose": "chat", "context_length": 4096}
EMBEDDING: dict[str, Any] = {"source": "/models/All-MiniLM/", "purpose": "embedding", "context_length": 256}
RERANK: dict[str, Any] = {"source": "/models/reranker", "purpose": "rerank", "context_length": 512}


def test_source() -> None:
    assert source("/srv/models/SmolLM2-135M/") == {"folder": "/srv/models/SmolLM2-135M"}
    assert source(f"Qwen/Qwen3-0.6B@{COMMIT}") == {"hub": "Qwen/Qwen3-0.6B", "revision": COMMIT}


COMMIT = "c1899de289a04d12100db370d81485cdf75e47ca"


@pytest.mark.parametrize(
    "text", ["", "qwen", f"a/b/c@{COMMIT}", "a/b", "a/b@main", f"a/b@{COMMIT[1:]}", f"a b/c@{COMMIT}"]
)
def test_what_is_not_a_model_or_may_change_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="organisation/name@commit"):
        source(text)


def test_names_and_ports() -> None:
    models = catalogue([CHAT, EMBEDDING, {**RERANK, "name": "sorter"}], first_port=9000)
    assert [(model.name, model.port) for model in models] == [
        ("qwen3-0.6b", 9000),
        ("all-minilm", 9001),
        ("sorter", 9002),
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([CHAT, EMBEDDING, CHAT], "two models are called qwen3-0.6b"),
        ([CHAT], "no model has the purpose embedding"),
        ([EMBEDDING], "no model has the purpose chat"),
        ([CHAT, {**EMBEDDING, "tools": "hermes"}], "all-minilm: only a chat model can have tools"),
        ([CHAT, {**EMBEDDING, "sampling": {"temperature": 0}}], "only a chat model can have sampling"),
        ([{**CHAT, "name": "../etc"}, EMBEDDING], "cannot name a model"),
        ([{**CHAT, "source": "gpt"}, EMBEDDING], "'gpt' is not a model"),
    ],
)
def test_a_wrong_catalogue_is_refused_in_one_line(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        catalogue(entries)
    assert "\n" not in str(caught.value)


def test_the_engine_is_told_what_a_model_can() -> None:
    able = {"tools": "hermes", "reasoning": "qwen3", "sampling": {"temperature": 0}, "engine": {"max-num-seqs": 4}}
    chat, embedding = vllm_models(catalogue([{**CHAT, **able}, EMBEDDING]), {})
    assert chat["config"] == {
        "max-model-len": 4096,
        "enable-auto-tool-choice": True,
        "tool-call-parser": "hermes",
        "reasoning-parser": "qwen3",
        "override-generation-config": '{"temperature": 0}',
        "max-num-seqs": 4,
    }
    assert (chat["runner"], embedding["runner"]) == ("generate", "pooling")
    assert embedding["config"] == {"max-model-len": 256}


def test_the_gateway_sends_no_tools_to_a_model_that_cannot_call_them() -> None:
    plain, able, embedding = litellm_models(
        catalogue([CHAT, {**CHAT, "name": "able", "tools": "hermes", "pictures": True, "price": 2.0}, EMBEDDING]),
        "10.78.0.1",
        "the-key",
    )
    assert plain["extra_params"] == {"additional_drop_params": list(TOOL_PARAMETERS)}
    assert able["extra_params"] == {}
    assert embedding["extra_params"] == {"truncate_prompt_tokens": -1}
    assert not plain["info"]["supports_function_calling"]
    assert able["info"] == {
        "max_input_tokens": 4096,
        "supports_function_calling": True,
        "supports_reasoning": False,
        "supports_vision": True,
    }
    assert able["output_cost_per_token"] == 2e-06
    assert able["api_base"] == "http://10.78.0.1:8002/v1"
    assert embedding["mode"] == "embedding"


def test_the_first_model_of_a_purpose_is_used_where_nobody_chooses() -> None:
    models = catalogue([RERANK, CHAT, {**CHAT, "name": "second", "context_length": 1}, EMBEDDING])
    assert first_model(models, "chat") == {"name": "qwen3-0.6b", "context_length": 4096}
    assert first_model(models, "embedding") == {"name": "all-minilm", "context_length": 256}


def test_weights_of_a_hub_lie_in_no_folder() -> None:
    assert folders(catalogue([CHAT, EMBEDDING, RERANK])) == ["/models/All-MiniLM", "/models/reranker"]


def test_the_chat_offers_only_what_one_can_chat_with() -> None:
    models = catalogue([EMBEDDING, {**CHAT, "tools": "hermes"}, RERANK])
    assert chat_models(models) == [{"name": "qwen3-0.6b", "tools": True, "pictures": False}]


@given(st.permutations([CHAT, EMBEDDING, RERANK, {**CHAT, "name": "second"}]))
def test_all_parts_agree_on_where_a_model_answers(entries: list[dict[str, Any]]) -> None:
    models = catalogue(entries)
    served = {(model["name"], model["port"]) for model in vllm_models(models, {})}
    assert len({port for _, port in served}) == len(entries)
    assert {port["port"] for port in open_ports(models, "wg0", "10.78.0.1/32")} == {port for _, port in served}
    for endpoint in endpoints(models, "10.78.0.1", ["10.78.0.11", "10.78.0.12"]):
        assert (endpoint["name"], endpoint["port"]) in served
        assert endpoint["upstreams"] == [f"10.78.0.11:{endpoint['port']}", f"10.78.0.12:{endpoint['port']}"]
    assert {(model["name"], int(model["api_base"].split(":")[2].split("/")[0])) for model in
            litellm_models(models, "10.78.0.1", "k")} == served  # fmt: skip
