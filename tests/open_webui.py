"""The chat's API as its page uses it, from the machine that it runs on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

CHAT = "http://127.0.0.1:8080"
PROGRAM = Path(__file__).parents[1] / "roles/open_webui/files/account.py"


@pytest.fixture(scope="module")
def ask(host: Host) -> Callable[..., Any]:
    """Gets a path, or posts a body to it, and reads the JSON of the answer."""

    def ask(path: str, body: Any = None, token: str = "", method: str = "") -> Any:
        given = "--header 'Content-Type: application/json' --data-binary @-" if body is not None else ""
        how = f"--request {method}" if method else ""
        command = (
            f"curl --silent --max-time 60 {how} {given} --header %s {CHAT}{path} <<'BODY'\n{json.dumps(body)}\nBODY"
        )
        return json.loads(host.check_output(command, f"Authorization: Bearer {token}"))

    return ask


@pytest.fixture(scope="module")
def new_password(host: Host) -> Callable[[str], str]:
    """Makes a password as the playbook does."""

    def make(email: str) -> str:
        give = "echo %s | podman exec --interactive open-webui python3 -c %s"
        return str(host.check_output(give, json.dumps({"email": email}), PROGRAM.read_text()).splitlines()[-1])

    return make


@pytest.fixture(scope="module")
def upload(host: Host, ask: Callable[..., Any], token: str) -> Callable[[str, bytes], Any]:
    """Uploads a file, waits until it is read, and returns what became of it."""

    def upload(name: str, content: bytes) -> Any:
        send = (
            "base64 --decode <<'CONTENT' | curl --silent --max-time 60 --header %s --form %s "
            f"'{CHAT}/api/v1/files/?process_in_background=false'\n{base64.b64encode(content).decode()}\nCONTENT"
        )
        said = json.loads(host.check_output(send, f"Authorization: Bearer {token}", f"file=@-;filename={name}"))
        return ask(f"/api/v1/files/{said['id']}", token=token) if "id" in said else said

    return upload


def sql(host: Host, query: str, number: str = "") -> str:
    """Ask the database; `:'id'` in the query is the number."""
    psql = "runuser --user=postgres -- psql --quiet --tuples-only --no-align --set=id=%s open_webui"
    return str(host.check_output(f"echo %s | {psql}", query, number))
