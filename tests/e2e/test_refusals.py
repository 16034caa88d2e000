"""What the chat depends on is asked before the chat is touched: a run that would break it ends in one line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from testinfra.host import Host

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "entry.yml"
NO_REALM = "https://auth.localhost:8443/realms/nobody"


@pytest.mark.parametrize(
    ("role", "wrong", "said"),
    [
        ("open_webui", {"open_webui_oidc_client_secret": "wrong"}, "open_webui_oidc_client_secret: {} refuses it"),
        ("open_webui", {"open_webui_oidc_issuer": NO_REALM}, f"open_webui_oidc_issuer: {NO_REALM}/.well-known"),
        ("object_storage", {"object_storage_access_key_id": "nobody"}, "does not know the access key nobody"),
    ],
    ids=["client secret", "issuer", "access key"],
)
def test_a_run_that_would_break_the_chat_stops_before_it(
    pytestconfig: pytest.Config,
    entry: Host,
    state: Callable[[Host], Mapping[str, str]],
    role: str,
    wrong: Mapping[str, str],
    said: str,
) -> None:
    before = state(entry)
    inventory = pytestconfig.getoption("stack")
    command = ["ansible-playbook", "-i", inventory, str(PLAYBOOK), "--tags", role, "-e", json.dumps(wrong)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]: ")]
    assert len(errors) == 1
    assert said.format("https://auth.localhost:8443/realms/parrotpark") in errors[0]
    assert state(entry) == before
