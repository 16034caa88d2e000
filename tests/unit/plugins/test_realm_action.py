"""parrotpark_realm: what it shows and returns. The program it sends runs, and asks what answers like Keycloak."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from ansible.plugins.loader import action_loader

type Run = Callable[..., dict[str, Any]]
type Kept = Callable[..., dict[str, Any]]

SECRET = "the secret of the account"
KINDS = ("roles", "groups", "clients", "serviceAccounts", "identityProviders", "userFederation", "requiredActions")
NOTHING: dict[str, Any] = {kind: {} for kind in KINDS}
DECLARED = {**NOTHING, "realm": {"realm": "aviary", "smtpServer": {"password": "hidden"}}, "roles": {"user": {}}}


class Keycloak(BaseHTTPRequestHandler):
    """Has the realm without the role, and refuses whatever would change that."""

    def do_GET(self) -> None:
        self.reply(200, {"realm": "aviary", "smtpServer": {}} if self.path == "/admin/realms/aviary" else [])

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self.path.endswith("/token"):
            self.reply(409, {"errorMessage": "Role with name user already exists"})
        elif "client_secret=the+secret+of+the+account" in form:
            self.reply(200, {"access_token": "t"})
        else:
            self.reply(401, {"error": "unauthorized_client", "error_description": "Invalid client credentials"})

    def reply(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Keycloak) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def kept(run_action: Run, monkeypatch: pytest.MonkeyPatch) -> Kept:
    def execute(_: Any, command: str, *, in_data: bytes) -> dict[str, Any]:
        program, *arguments = command.split()
        assert program == "/usr/bin/python3"
        done = subprocess.run([sys.executable, *arguments], input=in_data, capture_output=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}

    plugin = action_loader.get("parrotpark_realm", class_only=True)
    monkeypatch.setattr(plugin, "_low_level_execute_command", execute)

    def run(url: str, *, secret: str = SECRET, declared: Any = DECLARED, check: bool = False) -> dict[str, Any]:
        arguments = {"url": url, "client_id": "automation", "client_secret": secret, "declared": declared}
        return run_action("parrotpark_realm", arguments, check=check)

    return run


def test_a_plan_names_what_differs_and_no_secret(url: str, kept: Kept) -> None:
    result = kept(url, check=True)
    assert result["changed"] is True
    assert "roles / user: there\n" in result["diff"][0]["after"]
    assert "realm / smtpServer / password: as declared\n" in result["diff"][0]["after"]
    assert (SECRET in str(result), "hidden" in str(result)) == (False, False)


def test_what_is_as_declared_is_no_change(url: str, kept: Kept) -> None:
    result = kept(url, declared={**NOTHING, "realm": {"realm": "aviary"}})
    assert (result["changed"], result["diff"][0]["before"], result["diff"][0]["after"]) == (False, "", "")


@pytest.mark.parametrize("check", [False, True])
def test_a_wrong_secret_is_one_line(url: str, kept: Kept, check: bool) -> None:
    result = kept(url, secret="wrong", check=check)
    assert result == {"failed": True, "msg": "Keycloak refuses the client automation: Invalid client credentials"}


def test_what_keycloak_refuses_is_told_in_its_words(url: str, kept: Kept) -> None:
    said = "Keycloak refuses POST /aviary/roles: 409 Role with name user already exists"
    assert kept(url) == {"failed": True, "msg": said}


def test_what_is_not_there_ends_a_run_but_no_plan(kept: Kept) -> None:
    nobody = "http://127.0.0.1:1"
    assert kept(nobody) == {
        "failed": True,
        "msg": f"no Keycloak answers at {nobody}: [Errno 111] Connection refused",
    }
    assert kept(nobody, check=True)["changed"] is True
    assert "realm: there\n" in kept(nobody, check=True)["diff"][0]["after"]
