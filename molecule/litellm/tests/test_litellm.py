"""LiteLLM as its clients and the host's owner meet it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

UNIT = "litellm.service"
MASTER, CHAT, POOR = "sk-the-master-key-of-the-test", "sk-the-chat-key-of-the-test", "sk-the-poor-key-of-the-test"
SPEND_IS_WRITTEN_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(host: Host, path: str, key: str, request: Any = None) -> Answer:
    body = "" if request is None else f"--header 'Content-Type: application/json' --data '{json.dumps(request)}'"
    command = "curl --silent --max-time 60 --write-out '\n%%{{http_code}}' --header %s {} http://127.0.0.1:4000%s"
    result = host.run(command.format(body), f"Authorization: Bearer {key}", path)
    text, _, status = result.stdout.rpartition("\n")
    return Answer(int(status), text)


def chat(host: Host, key: str, model: str = "assistant", **more: Any) -> Answer:
    messages = [{"role": "user", "content": "What is the capital of France? a-private-question"}]
    return ask(host, "/v1/chat/completions", key, {"model": model, "messages": messages, **more})


def query(host: Host, sql: str) -> str:
    command = "runuser --user=postgres -- psql --tuples-only --no-align --command=%s litellm"
    return str(host.run(command, sql).stdout).strip()


def spent(host: Host, alias: str) -> float:
    rows = query(host, 'SELECT key_alias, spend FROM "LiteLLM_VerificationToken"').splitlines()
    return float(dict(row.split("|") for row in rows)[alias])


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_listens_on_loopback_only(host: Host) -> None:
    listening = [socket for socket in host.socket.get_listening_sockets() if socket.endswith(":4000")]
    assert listening == ["tcp://127.0.0.1:4000"]


def test_every_migration_is_recorded(host: Host) -> None:
    extras = "/opt/litellm/lib/python3*/site-packages/litellm_proxy_extras"
    packaged = host.check_output(f"ls -d {extras}/migrations/*/ | wc -l")
    assert int(packaged) > 200
    assert query(host, "SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT NULL") == packaged


def test_a_key_gets_an_answer_and_pays_for_it_without_leaving_its_words(host: Host) -> None:
    before = spent(host, "chat")
    answer = chat(host, CHAT)
    assert answer.json["choices"][0]["message"]["content"] == "The capital is Paris."
    deadline = time.monotonic() + SPEND_IS_WRITTEN_WITHIN_SECONDS
    while spent(host, "chat") == before and time.monotonic() < deadline:
        time.sleep(2)
    assert spent(host, "chat") - before == pytest.approx(11 * 0.0001 + 5 * 0.001)
    assert query(host, 'SELECT count(*) > 0 FROM "LiteLLM_SpendLogs"') == "t"


def test_a_streamed_answer_ends_with_its_usage(host: Host) -> None:
    events = [line.removeprefix("data: ") for line in chat(host, CHAT, stream=True).body.splitlines() if line]
    assert events[-1] == "[DONE]"
    deltas = [choice["delta"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "The capital is Paris."
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 5


def test_a_wrong_key_is_refused(host: Host) -> None:
    assert chat(host, "sk-nobody").status == 401


def test_a_model_that_is_not_the_keys_is_refused(host: Host) -> None:
    assert chat(host, POOR, model="absent").status == 403


def test_an_exhausted_budget_is_refused(host: Host) -> None:
    deadline = time.monotonic() + SPEND_IS_WRITTEN_WITHIN_SECONDS
    while (answer := chat(host, POOR)).status == 200 and time.monotonic() < deadline:
        time.sleep(1)
    assert "Budget has been exceeded" in answer.body
    assert spent(host, "poor") > 0


def test_a_model_out_of_reach_is_said_to_sleep_at_once(host: Host) -> None:
    began = time.monotonic()
    answer = chat(host, CHAT, model="absent")
    assert (answer.status, answer.json["error"]["message"]) == (503, "The assistant is asleep.")
    assert time.monotonic() - began < 10


def test_access_is_as_declared(host: Host) -> None:
    office = ask(host, "/team/info?team_id=office", MASTER).json
    assert (office["team_info"]["max_budget"], office["team_info"]["budget_duration"]) == (50, "30d")
    assert [key["key_alias"] for key in office["keys"]] == ["chat"]


def test_neither_questions_nor_answers_are_kept_anywhere(host: Host) -> None:
    """Neither of those that were answered above, nor of those that were refused."""
    kept = host.check_output("runuser --user=postgres -- pg_dump --data-only litellm && journalctl --unit=%s", UNIT)
    assert "office" in kept
    assert "a-private-question" not in kept
    assert "The capital is Paris" not in kept


def test_secrets_are_in_no_process_list_and_no_log(host: Host) -> None:
    for secret in ("of-the-test", "of%20the%3Atest"):
        assert host.run(f"ps -eo args | grep --quiet '[{secret[0]}]{secret[1:]}'").rc == 1
        assert host.run(f"journalctl --no-pager | grep --quiet '{secret}'").rc == 1
    assert host.file("/etc/litellm/secrets.env").mode == 0o600


def test_unit_is_sandboxed(host: Host) -> None:
    assert host.run(f"systemd-analyze security --threshold=20 {UNIT}").rc == 0
