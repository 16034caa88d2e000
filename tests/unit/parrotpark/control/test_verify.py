"""The check of a stack whose people sign in elsewhere goes as far as it can, and says where it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parrotpark.control.verify import QUESTION, CheckFailed, Endpoints, check

ISSUER = "https://id.example.org"
AUTHORIZE = f"{ISSUER}/authorize"


class Stack(BaseHTTPRequestHandler):
    """Chat and gateway, as far as the check asks them."""

    answer = "Paris.\nOr so."
    way_in: tuple[int, str] = (302, f"{AUTHORIZE}?client_id=assistant&state=1")

    def do_GET(self) -> None:
        if self.path == "/oauth/oidc/login":
            code, location = self.way_in
            self.send_response(code)
            if location:
                self.send_header("Location", location)
            self.end_headers()
        else:
            self._say("<html>")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answers = {
            ("/v1/chat/completions", "Bearer key", "talker"): {"choices": [{"message": {"content": self.answer}}]},
            ("/v1/embeddings", "Bearer key", "embedder"): {"data": [{"embedding": [0.0, 0.0]}]},
        }
        self._say(json.dumps(answers[self.path, self.headers["Authorization"], asked["model"]]))

    def _say(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stack) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Endpoints(
            chat=url,
            api=f"{url}/v1",
            api_key="key",
            ca="",
            chat_model="talker",
            embedding_model="embedder",
            admin_email="",
            check_email="",
            check_password="",
            software="open_webui",
            sign_in=f"{url}/oauth/oidc/login",
            issuer=ISSUER,
        )
        server.shutdown()


def test_it_asks_by_the_api_and_names_what_nobody_checked(endpoints: Endpoints) -> None:
    assert [*check(endpoints)] == [
        f"{endpoints.chat} shows the chat",
        f"{endpoints.chat} sends people to {AUTHORIZE}",
        f"{QUESTION} Paris.",
        f"not checked: a sign-in and a question in the chat, as we have no account at {ISSUER}",
        "embedder embeds into 2 dimensions",
    ]


def test_of_a_chat_whose_pages_it_does_not_know_it_says_so(endpoints: Endpoints) -> None:
    said = [*check(replace(endpoints, issuer="", software="librechat"))]
    assert said[3] == "not checked: a sign-in and a question in the chat, as only Open WebUI's pages are known here"


@pytest.mark.parametrize("way_in", [(200, ""), (404, ""), (500, ""), (302, "/auth?error=x"), (302, "http://id/")])
def test_a_chat_that_leads_nowhere_fails(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, way_in: tuple[int, str]
) -> None:
    monkeypatch.setattr(Stack, "way_in", way_in)
    with pytest.raises(CheckFailed, match=rf"leads to no sign-in page: {way_in[1] or way_in[0]}".replace("?", r"\?")):
        [*check(endpoints)]


def test_a_model_that_says_nothing_fails(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "answer", " ")
    with pytest.raises(CheckFailed, match="talker answers nothing"):
        [*check(endpoints)]
