"""LiteLLM as its clients and the host's owner meet it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from testinfra.host import Host

UNIT = "litellm.service"
MASTER, CHAT, POOR, OUTSIDE = (f"sk-the-{name}-key-of-the-test" for name in ("master", "chat", "poor", "outside"))
SPEND_IS_WRITTEN_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(host: Host, path: str, key: str, request: Any = None, *options: str) -> Answer:
    """Ask as the host itself does; `--header X-Forwarded-For:…` asks as the front door does for somebody."""
    if request is not None:
        options += ("--json", json.dumps(request))
    command = "curl --silent --path-as-is --max-time 60 --write-out '\n%%{http_code}' --header %s %s"
    result = host.run(
        f"{command} {shlex.join(options)}", f"Authorization: Bearer {key}", f"http://127.0.0.1:4000{path}"
    )
    text, _, status = result.stdout.rpartition("\n")
    return Answer(int(status), text)


def chat(host: Host, key: str, model: str = "assistant", **more: Any) -> Answer:
    messages = [{"role": "user", "content": "What is the capital of France? a-private-question"}]
    return ask(host, "/v1/chat/completions", key, {"model": model, "messages": messages} | more)


def query(host: Host, sql: str) -> str:
    command = "runuser --user=postgres -- psql --tuples-only --no-align --command=%s litellm"
    return str(host.run(command, sql).stdout).strip()


def spent(host: Host, alias: str) -> float:
    rows = query(host, 'SELECT key_alias, spend FROM "LiteLLM_VerificationToken"').splitlines()
    return float(dict(row.split("|") for row in rows)[alias])


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SPEND_IS_WRITTEN_WITHIN_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(2)


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
    wait_until(lambda: spent(host, "chat") > before)
    assert spent(host, "chat") - before == pytest.approx(11 * 0.0001 + 5 * 0.001)
    log = 'SELECT count(*) > 0, max(length(requester_ip_address)) FROM "LiteLLM_SpendLogs"'
    assert query(host, log) in ("t|", "t|0")


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
    wait_until(lambda: spent(host, "poor") > 0)  # what it counts in memory is written later


def ask_as(host: Host, person: str, key: str = CHAT) -> Answer:
    """Ask as an application that names the person."""
    body = {"model": "assistant", "messages": [{"role": "user", "content": "Hello"}]}
    return ask(host, "/v1/chat/completions", key, body, "--header", f"X-Person: {person}")


def people(host: Host) -> dict[str, float]:
    rows = query(host, 'SELECT user_id, spend FROM "LiteLLM_EndUserTable"').splitlines()
    return {person: float(spend) for person, spend in (row.split("|") for row in rows)}


def test_who_has_used_up_their_budget_reads_when_it_is_full_again_and_others_go_on(host: Host) -> None:
    given = {"user_id": "eve@example.org", "budget_id": "generous"}
    assert ask(host, "/customer/new", MASTER, given).status == 200
    # Somebody whom it has not written down yet is let through until it has.
    deadline = time.monotonic() + SPEND_IS_WRITTEN_WITHIN_SECONDS
    while (answer := ask_as(host, "Ada@Example.org")).status == 200 and time.monotonic() < deadline:
        time.sleep(1)
    again = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1)
    assert (answer.status, answer.json["error"]["message"]) == (429, f"Used up until {again:%Y-%m-%d}.")
    assert people(host)["ada@example.org"] > 0
    assert [ask_as(host, "eve@example.org").status for _ in range(3)] == [200] * 3
    assert ask_as(host, "bob@example.org").status == 200


def test_only_the_key_of_an_application_names_people(host: Host) -> None:
    before = spent(host, "outside")
    assert ask_as(host, "mallory@example.org", OUTSIDE).status == 200
    assert chat(host, OUTSIDE, user="mallory@example.org").status == 200
    assert chat(host, CHAT, user="mallory@example.org").status == 200
    wait_until(lambda: spent(host, "outside") - before > 0.01)
    assert "mallory@example.org" not in people(host)


def test_a_model_out_of_reach_is_said_to_sleep_at_once(host: Host) -> None:
    began = time.monotonic()
    answer = chat(host, CHAT, model="absent")
    assert (answer.status, answer.json["error"]["message"]) == (503, "The assistant is asleep.")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_model_refuses_is_told_in_its_words(host: Host, stream: bool) -> None:
    answer = chat(host, CHAT, n=2, stream=stream)
    assert (answer.status, answer.json["error"]["message"]) == (400, "n must be 1")


@pytest.mark.parametrize("messages", [5, [5], [{"role": "user", "content": [5]}]], ids=json.dumps)
def test_what_nobody_can_read_is_the_senders_fault(host: Host, messages: Any) -> None:
    answer = chat(host, CHAT, messages=messages)
    assert (answer.status, "cannot be read" in answer.json["error"]["message"]) == (400, True)


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


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/key/info",
        "/v1/model/info",
        "/v1/vector_stores",
        "/v1/containers",
        "/v1/rag/query",
        "/v1/mcp/server",
        "/chat/completions",
        "/V1/models",
        "//v1/models",
        "/v1/models/",
        "/v1/models/../model/info",
        "/v1/%2e%2e/key/info",
        "/%761/model/info",
        "/openai/deployments/assistant/chat/completions",
    ],
)
def test_a_key_reaches_what_is_declared_and_no_more(host: Host, path: str) -> None:
    assert ask(host, "/v1/models", CHAT).status == 200
    for method in ("GET", "POST"):
        assert ask(host, path, CHAT, None, "--request", method).status == 404


def test_the_master_key_administers_on_this_host_and_not_through_the_front_door(host: Host) -> None:
    forwarded = ("--header", "X-Forwarded-For: 192.0.2.7")
    assert ask(host, "/v1/model/info", MASTER).status == 200
    assert ask(host, "/v1/model/info", MASTER, None, *forwarded).status == 404
    assert ask(host, "/health/readiness", MASTER, None, *forwarded).status == 404


@pytest.mark.parametrize("name", ["no-log", "api_base", "mock_response", "fallbacks", "guardrails", "num_retries"])
def test_settings_of_litellm_are_no_parameters_of_a_request(host: Host, name: str) -> None:
    more: dict[str, Any] = {name: True}
    answer = chat(host, CHAT, **more)
    assert (answer.status, answer.json["error"]["message"]) == (400, f'"{name}" is not a parameter here')


def test_what_all_clients_send_is_ignored(host: Host) -> None:
    assert chat(host, CHAT, store=True, metadata={"tags": ["a"]}).status == 200


def test_nobody_evades_the_count_by_a_header(host: Host) -> None:
    before = spent(host, "chat")
    body = {"model": "assistant", "messages": [{"role": "user", "content": "Hello"}]}
    assert ask(host, "/v1/chat/completions?no-log=true", CHAT, body, "--header", "x-litellm-no-log: true").status == 200
    wait_until(lambda: spent(host, "chat") > before)


def test_an_answer_tells_nothing_of_the_inside(host: Host) -> None:
    head, _, _ = ask(host, "/v1/models", CHAT, None, "--include").body.replace("\r", "").partition("\n\n")
    names = {line.split(":")[0].lower() for line in head.splitlines()[1:]}
    assert names == {"content-type", "content-length", "date"}


def test_guessing_keys_is_bounded_and_locks_out_nobody(host: Host) -> None:
    def guess(key: str, address: str = "192.0.2.7") -> int:
        return ask(host, "/v1/models", key, None, "--header", f"X-Forwarded-For: {address}").status

    assert guess(CHAT) == 200
    guesses = [guess(f"sk-guess-{number}") for number in range(7)]
    assert guesses == [401] * 5 + [429] * 2
    assert guess(CHAT) == 200
    assert guess("sk-guess-0") == 401
    assert guess("sk-another", address="192.0.2.8") == 401


def connects(host: Host, user: str, port: int, address: str = "127.0.0.1") -> bool:
    program = f"import socket; socket.create_connection(({address!r}, {port}), 5)"
    result = host.run("runuser --user=%s -- python3 -c %s", user, program)
    assert result.rc == 0 or "Connection refused" in result.stderr or "Network is unreachable" in result.stderr
    return bool(result.rc == 0)


def test_the_query_engine_is_litellms_alone(host: Host) -> None:
    found = host.check_output("ss -Hltn src 127.0.0.1").splitlines()
    listening = {int(line.split()[3].rsplit(":", 1)[1]) for line in found} - {5432, 8001}
    (engine,) = listening - {4000}
    assert 4001 <= engine <= 4003
    assert not any(connects(host, user, engine) for user in ("root", "games", "nobody", "postgres"))
    assert connects(host, "litellm", engine)


def test_only_its_clients_reach_litellm(host: Host) -> None:
    assert connects(host, "games", 4000)
    assert not connects(host, "nobody", 4000)


def test_litellm_reaches_its_database_and_its_models_and_nothing_else(host: Host) -> None:
    own = host.interface.default().addresses[0]
    assert connects(host, "litellm", 5432)
    assert connects(host, "litellm", 8001)
    assert connects(host, "root", 22)
    for address, port in (("127.0.0.1", 22), (own, 22), ("::1", 22), ("192.0.2.1", 443), ("169.254.169.254", 80)):
        assert not connects(host, "litellm", port, address)
