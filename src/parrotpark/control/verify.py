"""Ask the running assistant one question the way its users do, over HTTPS and against its own CA."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from parrotpark.control.answers import Messages, Unanswered, answer
from parrotpark.control.sign_in import SignInFailed, sign_in, way_in

QUESTION = "What is the capital of France?"
UNKNOWN = {"librechat": "only Open WebUI's pages are known here"}
ANSWER_SECONDS = 180  # a model without a GPU is slow


class CheckFailed(Exception):
    """The assistant did not do what its users expect; the message says what failed and where to look."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the assistant answers, as in `endpoints.json`."""

    chat: str
    api: str
    api_key: str = field(repr=False)
    ca: str
    chat_model: str
    embedding_model: str
    admin_email: str
    check_email: str
    check_password: str = field(repr=False)
    software: str
    """Of the chat: `open_webui` or `librechat`."""
    sign_in: str
    """Where the chat sends people from who want to sign in."""
    issuer: str = ""
    """Where people sign in, if it is none of ours: then the account to check with is nowhere."""


def load(path: Path) -> Endpoints:
    """Read `endpoints.json`."""
    return Endpoints(**json.loads(path.read_text()))


def check(endpoints: Endpoints) -> Iterator[str]:
    """Open the page, sign in, ask in the chat, embed a word by the API; yield a line for each step that works.

    Where that cannot be done as a person, see that the chat leads to a sign-in, and ask by the API.

    Raises:
        CheckFailed: a step does not work.
    """
    chat, api = _Web(endpoints.chat, endpoints.ca), _Web(endpoints.api, endpoints.ca, endpoints.api_key)
    if b"<html" not in chat.call("").lower():
        raise CheckFailed(f"{endpoints.chat} does not show a page: see make logs HOST=entry UNIT=caddy")
    yield f"{endpoints.chat} shows the chat"
    reason = f"we have no account at {endpoints.issuer}" if endpoints.issuer else UNKNOWN.get(endpoints.software)
    yield from _as_a_program(endpoints, api, reason) if reason else _as_a_person(endpoints, api)
    embedded = api.json("/embeddings", {"model": endpoints.embedding_model, "input": ["parrot"]})
    yield f"{endpoints.embedding_model} embeds into {len(embedded['data'][0]['embedding'])} dimensions"


def _as_a_person(endpoints: Endpoints, api: _Web) -> Iterator[str]:
    try:
        token = sign_in(endpoints.chat, endpoints.ca, endpoints.check_email, endpoints.check_password)
    except SignInFailed as error:
        raise CheckFailed(f"{error}; see make logs HOST=entry UNIT=keycloak and UNIT=open-webui") from error
    person = _Web(endpoints.chat, endpoints.ca, token)
    yield f"{endpoints.check_email} can sign in"
    yield f"{QUESTION} {_ask_in_chat(person, api, endpoints.chat_model).splitlines()[0]}"


def _as_a_program(endpoints: Endpoints, api: _Web, reason: str) -> Iterator[str]:
    try:
        page = way_in(endpoints.sign_in, endpoints.ca)
    except SignInFailed as error:
        raise CheckFailed(f"{error}; see make logs HOST=entry UNIT={endpoints.software.replace('_', '-')}") from error
    yield f"{endpoints.chat} sends people to {page}"
    said = _ask(api, endpoints.chat_model, [{"role": "user", "content": QUESTION}]).strip()
    if not said:
        raise CheckFailed(f"{endpoints.chat_model} answers nothing; see make logs HOST=gpu")
    yield f"{QUESTION} {said.splitlines()[0]}"
    yield f"not checked: a sign-in and a question in the chat, as {reason}"


def _ask(api: _Web, model: str, messages: Messages) -> str:
    question = {"model": model, "messages": [*messages], "temperature": 0}
    return str(api.json("/chat/completions", question)["choices"][0]["message"]["content"] or "")


def _ask_in_chat(person: _Web, api: _Web, model: str) -> str:
    """Ask as the chat's page does and return the answer that it stores; the chat is deleted again."""
    message = {"role": "user", "content": QUESTION}
    body = {
        "model": model,
        "messages": [message],
        "stream": True,
        "params": {"temperature": 0},
        # With a session Open WebUI stores the answer, and adds to the question whatever it adds for its own page.
        "session_id": str(uuid4()),
        "id": str(uuid4()),
        "parent_id": None,
        "user_message": {"id": str(uuid4()), "parentId": None, "models": [model], **message},
    }
    chat = f"/api/v1/chats/{person.json('/api/chat/completions', body)['chat_id']}"
    try:
        return answer(QUESTION, lambda: person.json(chat), partial(_ask, api), ANSWER_SECONDS)
    except Unanswered as error:
        raise CheckFailed(f"{error}; see make logs UNIT=open-webui and make logs HOST=gpu") from error
    finally:
        person.call(chat, method="DELETE")


@dataclass(frozen=True, slots=True)
class _Web:
    """One of our addresses, called as a person or with a key."""

    url: str
    ca: str
    key: str = field(default="", repr=False)

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
