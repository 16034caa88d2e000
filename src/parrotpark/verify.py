"""Ask the running assistant one question the way its users do, over HTTPS and against its own CA."""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

QUESTION = "What is the capital of France?"
ANSWER_SECONDS = 180  # a model on a processor thinks slowly


class CheckFailed(Exception):
    """The assistant did not do what its users expect; the message says what failed and where to look."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the assistant answers, as `endpoints.json` says it."""

    chat: str
    api: str
    api_key: str
    ca: str
    chat_model: str
    embedding_model: str
    admin_email: str
    admin_password: str


def load(path: Path) -> Endpoints:
    """Read `endpoints.json`."""
    return Endpoints(**json.loads(path.read_text()))


def check(endpoints: Endpoints) -> Iterator[str]:
    """Open the page, sign in, ask in the chat and by the API, and embed a word; yield a line for each thing that works.

    Raises:
        CheckFailed: something does not.
    """
    chat, api = _Web(endpoints.chat, endpoints.ca), _Web(endpoints.api, endpoints.ca, endpoints.api_key)
    if b"<html" not in chat.call("").lower():
        raise CheckFailed(f"{endpoints.chat} shows no page")
    yield f"{endpoints.chat} shows the chat"
    login = {"email": endpoints.admin_email, "password": endpoints.admin_password}
    person = _Web(endpoints.chat, endpoints.ca, chat.json("/api/v1/auths/signin", login)["token"])
    yield f"{endpoints.admin_email} can sign in"
    yield f"In the chat: {QUESTION} {_ask_in_chat(person, endpoints.chat_model).splitlines()[0]}"
    question = {
        "model": endpoints.chat_model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 40,
    }
    said = (api.json("/chat/completions", question)["choices"][0]["message"]["content"] or "").strip()
    if not said:
        raise CheckFailed(f"{endpoints.chat_model} answered nothing; see make logs HOST=gpu")
    yield f"By the API: {QUESTION} {said.splitlines()[0]}"
    embedded = api.json("/embeddings", {"model": endpoints.embedding_model, "input": ["parrot"]})
    yield f"{endpoints.embedding_model} embeds into {len(embedded['data'][0]['embedding'])} dimensions"


def stored_answer(message: Mapping[str, Any]) -> str:
    """Return what the model said in a message that the chat stored.

    Raises:
        CheckFailed: the message is an error, not done, or empty.
    """
    if message.get("error"):
        raise CheckFailed(f"the chat shows an error where the answer belongs: {message['error']}")
    if not message.get("done"):
        raise CheckFailed("the chat stored no whole answer; see make logs UNIT=open-webui")
    if not (said := str(message.get("content") or "").strip()):
        raise CheckFailed("the chat shows an empty answer; see make logs HOST=gpu")
    return said


def _ask_in_chat(person: _Web, model: str) -> str:
    """Ask as the chat's page does and return the answer that it stores; the chat is deleted again."""
    answer, message = str(uuid4()), {"role": "user", "content": QUESTION}
    body = {
        "model": model,
        "messages": [message],
        "stream": True,
        # With a session the answer is stored, and whatever Open WebUI adds to a question of its page is added.
        "session_id": str(uuid4()),
        "id": answer,
        "parent_id": None,
        "user_message": {"id": str(uuid4()), "parentId": None, "models": [model], **message},
    }
    chat = f"/api/v1/chats/{person.json('/api/chat/completions', body)['chat_id']}"
    try:
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            stored: Mapping[str, Any] = person.json(chat)["chat"]["history"]["messages"][answer]
            if stored.get("done") or time.monotonic() > end:
                return stored_answer(stored)
            time.sleep(0.5)
    finally:
        person.call(chat, method="DELETE")


@dataclass(frozen=True, slots=True)
class _Web:
    """One of our addresses, asked as a person or with a key."""

    url: str
    ca: str
    key: str = ""

    def call(self, path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> bytes:
        url = self.url + path
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the URL is our own endpoint
        context = ssl.create_default_context(cafile=self.ca or None)
        try:
            with urllib.request.urlopen(request, timeout=120, context=context) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise CheckFailed(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:300]}") from error
        except OSError as error:
            raise CheckFailed(f"{url} does not answer: {error}") from error

    def json(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return json.loads(self.call(path, body))


def main() -> int:
    """Check the endpoints file named on the command line."""
    try:
        for line in check(load(Path(sys.argv[1]))):
            print(line)
    except CheckFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
