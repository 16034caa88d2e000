"""Open WebUI as people's browsers and the host's owner meet it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

type Ask = Callable[..., Any]

UNIT = "open-webui.service"
BANNER = 'It\'s "small": 100 % wrong, at times # {not} \\n'
SECRETS = ("the-password", "the-upstream-key", "the-secret-key", "the-account-password")


def process(host: Host) -> int:
    return int(host.check_output("podman inspect --format '{{.State.Pid}}' open-webui"))


def test_runs_now_and_at_boot(host: Host) -> None:
    assert host.service(UNIT).is_running
    assert UNIT in host.check_output("ls /run/systemd/generator/multi-user.target.wants")


def test_listens_on_loopback_only(host: Host) -> None:
    listening = [socket for socket in host.socket.get_listening_sockets() if socket.endswith(":8080")]
    assert listening == ["tcp://127.0.0.1:8080"]


def test_what_was_asked_for_is_what_it_says(ask: Ask, token: str) -> None:
    said = ask("/api/config", token=token)
    assert said["name"] == "Aviary (Open WebUI)"
    assert said["default_models"] == "assistant"
    assert [suggestion["content"] for suggestion in said["default_prompt_suggestions"]] == [
        "What is the capital of France?"
    ]
    assert said["file"]["max_size"] == 1
    assert said["features"]["enable_signup"] is False
    assert said["features"]["enable_version_update_check"] is False
    assert [banner["content"] for banner in ask("/api/v1/configs/banners", token=token)] == [BANNER]


def test_administrators_cannot_read_what_others_write(ask: Ask, token: str) -> None:
    features = ask("/api/config", token=token)["features"]
    assert (features["enable_admin_chat_access"], features["enable_message_rating"]) == (False, False)
    assert "detail" in ask("/api/v1/chats/all/db", token=token)  # else the list of all chats


def test_no_address_and_no_query_is_logged(host: Host, ask: Ask, token: str) -> None:
    ask("/api/config?code=of-the-test", token=token)
    said = host.check_output("journalctl --unit=open-webui.service --no-pager --output=cat")
    assert "GLOBAL_LOG_LEVEL" in said
    assert "HTTP/1." not in said


def test_the_admin_panel_says_where_settings_are_kept(host: Host) -> None:
    assert "in the inventory" in host.check_output("curl --silent --fail http://127.0.0.1:8080/static/custom.css")


def test_only_the_named_models_are_offered(ask: Ask, token: str) -> None:
    assert [model["id"] for model in ask("/api/models", token=token)["data"]] == ["assistant"]


def test_answers(ask: Ask, token: str) -> None:
    question = {"model": "assistant", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    answer = ask("/api/chat/completions", question, token)
    assert answer["choices"][0]["message"]["content"] == "The capital is Paris."


def test_keeps_accounts_in_postgresql_and_settings_nowhere(host: Host) -> None:
    psql = "runuser --user=postgres -- psql --tuples-only --no-align --command=%s open_webui"
    assert host.check_output(psql, 'SELECT email, role FROM "user" ORDER BY created_at').splitlines() == [
        "admin@parrotpark.example|admin",
        "check@parrotpark.example|user",
    ]
    assert host.check_output(psql, "SELECT count(*) FROM config") == "0"
    assert not host.file("/srv/data/open_webui/webui.db").exists
    assert not host.file("/srv/data/open_webui/vector_db").exists


def test_is_an_unprivileged_process(host: Host) -> None:
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{process(host)}/status").content_string.splitlines())
    assert status["Uid"].split() == ["8080"] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


@pytest.mark.parametrize("path", ["/app/backend/x", "/usr/x", "/etc/x"])
def test_writes_nowhere_but_into_its_data(host: Host, path: str) -> None:
    assert "Read-only file system" in host.run("podman exec --user=0 open-webui touch %s", path).stderr
    assert host.run("podman exec open-webui touch /app/backend/data/cache/x").succeeded


def test_reaches_nothing_but_loopback(host: Host) -> None:
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    reach = "podman exec open-webui python3 -c %s %s %s"
    assert host.run(reach, connect, "127.0.0.1", "5432").succeeded
    # The registry, that the image just came from
    refused = host.run(reach, connect, "10.77.0.1", "5000")
    assert "TimeoutError" in refused.stderr or "PermissionError" in refused.stderr


def test_shows_its_secrets_to_nobody(host: Host) -> None:
    secrets = host.file("/etc/open-webui/secrets.env")
    assert (secrets.user, secrets.group, secrets.mode) == ("root", "root", 0o600)
    seen = host.check_output(
        f"cat /etc/containers/systemd/* /etc/open-webui/settings.env; systemctl cat {UNIT}; ps -eo args; journalctl"
    )
    assert not [secret for secret in SECRETS if secret in seen]


def test_a_key_that_podman_does_not_know_is_refused(host: Host) -> None:
    spoil = "sed 's/^ReadOnly=.*/&\\nMemory=1G/' /etc/containers/systemd/open-webui.container > $d/open-webui.container"
    dry_run = "/usr/lib/systemd/system-generators/podman-system-generator --dryrun"
    judged = host.run(f"d=$(mktemp -d) && {spoil} && QUADLET_UNIT_DIRS=$d {dry_run}; code=$?; rm -r $d; exit $code")
    assert judged.failed
    assert "unsupported key 'Memory'" in judged.stderr
