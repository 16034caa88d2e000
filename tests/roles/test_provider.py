"""Before the chat is told of a provider, this is asked whether it is the one, and whether it knows the chat."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.roles.test_bare_host import play

SECRET = 'of "the" \\test'


class Provider(BaseHTTPRequestHandler):
    """Discovery and token endpoint of a provider that says what it is told to."""

    issuer_ends = ""
    says = "invalid_grant"
    asked: tuple[str, str] = ("", "")

    def do_GET(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        known = self.path == "/people/.well-known/openid-configuration"
        self._say(
            200 if known else 404, {"issuer": f"{url}/people{self.issuer_ends}", "token_endpoint": f"{url}/token"}
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Provider.asked = (self.headers["Authorization"], body)
        self._say(400, {"error": self.says})

    def _say(self, code: int, body: dict[str, str]) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def issuer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/people"
        server.shutdown()


def ask(folder: Path, issuer: str, status: int = 0) -> dict[str, Any]:
    """Run this part of the role alone, which does not mind that there is no TLS."""
    role = {"name": "open_webui", "tasks_from": "provider"}
    values = {
        "open_webui_url": "https://chat.parrotpark.example",
        "open_webui_oidc_issuer": issuer,
        "open_webui_oidc_client_id": "chat",
        "open_webui_oidc_client_secret": SECRET,
    }
    tasks = [{"ansible.builtin.import_role": role, "vars": values}]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "entry", "gather_facts": False, "tasks": tasks}]))
    return play(folder / "play.yml", folder / "hosts.yml", status=status)


def last(results: dict[str, Any]) -> str:
    return str([*results.values()][-1]["msg"])


@pytest.mark.parametrize("ends", ["", "/"])
def test_the_chats_provider_is_asked_as_the_chat_asks(
    tmp_path: Path, issuer: str, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(Provider, "issuer_ends", ends)
    ask(tmp_path, issuer)
    way, body = Provider.asked
    assert base64.b64decode(way.removeprefix("Basic ")).decode() == f"chat:{SECRET}"
    callback = "https%3A//chat.parrotpark.example/oauth/oidc/callback"
    assert body == f"grant_type=authorization_code&code=none&redirect_uri={callback}"


@pytest.mark.parametrize("says", ["invalid_client", "unauthorized_client"])
def test_one_that_does_not_know_the_chat_ends_the_run(
    tmp_path: Path, issuer: str, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    monkeypatch.setattr(Provider, "says", says)
    assert last(ask(tmp_path, issuer, status=2)).startswith(f"open_webui_oidc_client_secret: {issuer} refuses it")


def test_another_one_ends_the_run(tmp_path: Path, issuer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Provider, "issuer_ends", "-of-others")
    assert last(ask(tmp_path, issuer, status=2)).endswith("is of another issuer")


def test_none_ends_the_run(tmp_path: Path, issuer: str) -> None:
    assert "does not answer: " in last(ask(tmp_path, f"{issuer}-elsewhere", status=2))
