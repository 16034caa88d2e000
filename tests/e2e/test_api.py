"""The API as programs use it: OpenAI's own client, the stack's own key."""

import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from testinfra.host import Host

from parrotpark.control.verify import ANSWER_SECONDS, Endpoints

QUESTION = "What is the capital of France?"


def test_chat(client: openai.OpenAI, generate_model: str) -> None:
    answer = client.chat.completions.create(
        model=generate_model, messages=[{"role": "user", "content": QUESTION}], max_tokens=16
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.usage.prompt_tokens > len(QUESTION.split())


def test_streamed_chat_is_the_plain_one_in_pieces(client: openai.OpenAI, generate_model: str) -> None:
    question = {
        "model": generate_model,
        "messages": [{"role": "user", "content": "Tell a long story about a parrot."}],
        "max_tokens": 48,
        "temperature": 0,
    }
    plain = client.chat.completions.create(**question)  # type: ignore[call-overload]
    begin = time.monotonic()
    pieces = [
        (time.monotonic() - begin, chunk.choices[0].delta.content)
        for chunk in client.chat.completions.create(**question, stream=True)  # type: ignore[call-overload]
        if chunk.choices and chunk.choices[0].delta.content
    ]
    assert "".join(text for _, text in pieces) == plain.choices[0].message.content
    # As they are thought, not all at once in the end.
    assert pieces[0][0] < pieces[-1][0] / 2


def test_embeddings(client: openai.OpenAI, embed_model: str) -> None:
    texts = ["The parrot sits in its cage.", "A parrot is sitting in a cage.", "Interest rates fell in March."]
    parrot, paraphrase, rates = (
        item.embedding for item in client.embeddings.create(model=embed_model, input=texts).data
    )
    assert dot(parrot, paraphrase) > dot(parrot, rates) + 0.2


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_models(client: openai.OpenAI, generate_model: str, embed_model: str) -> None:
    assert {model.id for model in client.models.list()} == {generate_model, embed_model}


@pytest.mark.parametrize("key", [{}, {"Authorization": "Bearer sk-not-a-key-of-this-gateway"}], ids=["none", "wrong"])
@pytest.mark.parametrize("path", ["chat/completions", "embeddings", "models"])
def test_without_a_right_key_nothing_is_answered(
    client: openai.OpenAI,
    endpoints: Endpoints,
    tls: ssl.SSLContext,
    generate_model: str,
    embed_model: str,
    path: str,
    key: dict[str, str],
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "chat/completions": {"model": generate_model, "messages": [{"role": "user", "content": QUESTION}]},
        "embeddings": {"model": embed_model, "input": QUESTION},
    }
    method, body = ("POST", bodies[path]) if path in bodies else ("GET", None)
    with httpx2.Client(base_url=endpoints.api, verify=tls, trust_env=False) as http:
        right = {"Authorization": f"Bearer {client.api_key}"}
        assert http.request(method, path, json=body, headers=right, timeout=ANSWER_SECONDS).status_code == 200
        assert http.request(method, path, json=body, headers=key).status_code == 401


@pytest.fixture
def poor_key(entry: Host, generate_model: str) -> Iterator[str]:
    """A key of the gateway that may spend less than one answer costs."""
    manage = (
        "set -a && . /etc/litellm/secrets.env && curl -sSf -H 'Content-Type: application/json' "
        '-H "Authorization: Bearer $LITELLM_MASTER_KEY" http://127.0.0.1:4000/key/%s -d %s'
    )
    wanted = {"models": [generate_model], "max_budget": 1e-9, "duration": "10m"}
    key = json.loads(entry.check_output(manage, "generate", json.dumps(wanted)))["key"]
    yield key
    entry.check_output(manage, "delete", json.dumps({"keys": [key]}))


def test_an_exhausted_budget_is_refused(client: openai.OpenAI, generate_model: str, poor_key: str) -> None:
    poor = client.with_options(api_key=poor_key, max_retries=0)

    def spend() -> None:
        poor.chat.completions.create(
            model=generate_model, messages=[{"role": "user", "content": QUESTION}], max_tokens=4
        )

    def spend_for(seconds: float) -> None:  # what is spent is written down every few seconds
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            spend()

    spend()
    with pytest.raises(openai.APIStatusError, match=r"(?i)budget"):
        spend_for(60)


def test_spend_appears_in_postgresql(entry: Host, client: openai.OpenAI, generate_model: str) -> None:
    answer = client.chat.completions.create(
        model=generate_model, messages=[{"role": "user", "content": QUESTION}], max_tokens=4
    )
    assert answer.usage is not None
    query = f"""SELECT total_tokens, l.spend > 0, key_alias FROM "LiteLLM_SpendLogs" l
                JOIN "LiteLLM_VerificationToken" ON token = api_key WHERE request_id = '{answer.id}'"""
    deadline = time.monotonic() + 60
    while not (row := entry.check_output("runuser -u postgres -- psql litellm -tA -c %s", query)):
        assert time.monotonic() < deadline, "no row within 60 s"
        time.sleep(2)
    assert row == f"{answer.usage.total_tokens}|t|api"
