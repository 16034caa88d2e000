"""Ask the running assistant one question the way its users do, over HTTPS and against its own CA."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class CheckFailed(Exception):
    """The assistant did not do what its users expect; the message says what failed and where to look."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the assistant answers, as `endpoints.json` says it."""

    chat: str
    api: str
    api_key: str
    ca: str
    generate_model: str
    embed_model: str
    admin_email: str
    admin_password: str


def load(path: Path) -> Endpoints:
    """Read `endpoints.json`."""
    return Endpoints(**json.loads(path.read_text()))


def _request(url: str, context: ssl.SSLContext, body: Mapping[str, Any] | None = None, key: str | None = None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - the URL is our own endpoint
    try:
        with urllib.request.urlopen(request, timeout=120, context=context) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise CheckFailed(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:300]}") from error
    except OSError as error:
        raise CheckFailed(f"{url} does not answer: {error}") from error


def check(endpoints: Endpoints) -> Iterator[str]:
    """Open the page, sign in, ask the model and embed a word; yield a line for each thing that works.

    Raises:
        CheckFailed: something does not.
    """
    context = ssl.create_default_context(cafile=endpoints.ca or None)
    page = _request(endpoints.chat, context)
    if b"<html" not in page.lower():
        raise CheckFailed(f"{endpoints.chat} shows no page")
    yield f"{endpoints.chat} shows the chat"
    login = {"email": endpoints.admin_email, "password": endpoints.admin_password}
    json.loads(_request(f"{endpoints.chat}/api/v1/auths/signin", context, login))
    yield f"{endpoints.admin_email} can sign in"
    question = "What is the capital of France?"
    body = {
        "model": endpoints.generate_model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 40,
    }
    answer = json.loads(_request(f"{endpoints.api}/chat/completions", context, body, endpoints.api_key))
    content = answer["choices"][0]["message"]["content"]
    if not content.strip():
        raise CheckFailed(f"{endpoints.generate_model} answered nothing; see make logs HOST=gpu")
    yield f"{question} {content.strip().splitlines()[0]}"
    body = {"model": endpoints.embed_model, "input": ["parrot"]}
    answer = json.loads(_request(f"{endpoints.api}/embeddings", context, body, endpoints.api_key))
    yield f"{endpoints.embed_model} embeds into {len(answer['data'][0]['embedding'])} dimensions"


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
