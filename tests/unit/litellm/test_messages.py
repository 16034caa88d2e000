"""What clients read: which errors mean that a model's server is asleep, what was wrong, when a budget is full again."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.programs import load


class HTTPException(Exception):
    def __init__(self, **given: object) -> None:
        self.given = given


class ConnectError(Exception): ...


class ConnectTimeout(Exception): ...


MODULES: dict[str, list[type]] = {
    "httpx": [ConnectError, ConnectTimeout],
    "fastapi": [HTTPException],
    "litellm": [],
    "litellm.proxy": [],
    "litellm.proxy.proxy_server": [],
    "litellm.integrations": [],
    "litellm.integrations.custom_logger": [type("CustomLogger", (), {})],
}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, classes in MODULES.items():
        module = ModuleType(name)
        module.__dict__.update({one.__name__: one for one in classes})
        monkeypatch.setitem(sys.modules, name, module)
    words = {"asleep": "The assistant is asleep.", "over_budget": "Full again on {date}."}
    monkeypatch.setattr(Path, "read_text", lambda _: json.dumps(words))
    return load("roles/litellm/files/messages.py")


class Answered(Exception):
    def __init__(self, status_code: int, words: str = "") -> None:
        super().__init__(words)
        self.status_code = status_code


@pytest.mark.parametrize(
    ("status", "asleep"), [(502, True), (503, True), (504, True), (400, False), (429, False), (500, False)]
)
def test_a_load_balancer_without_servers_means_asleep(program: ModuleType, status: int, asleep: bool) -> None:
    assert program.asleep(Answered(status)) is asleep


def test_a_refused_connection_is_found_behind_the_errors_it_caused(program: ModuleType) -> None:
    error = Answered(500)
    error.__cause__ = RuntimeError("the client's own")
    error.__cause__.__context__ = ConnectError("refused")
    assert program.asleep(error)


def test_an_answer_that_takes_too_long_is_not_sleep(program: ModuleType) -> None:
    error = Answered(408)
    error.__cause__ = TimeoutError("slow")
    assert not program.asleep(error)


ADVICE = "\n\nLiteLLM: model group 'assistant' failed with the error above. No fallback was attempted."


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        (400, 'litellm.BadRequestError: VllmException - {"error": {"message": "n:\\n at most 4"}}', "n: at most 4"),
        (400, "litellm.BadRequestError: VllmException - {}", "VllmException - {}"),
        (400, "litellm.BadRequestError: Invalid tool choice", "Invalid tool choice"),
        (401, "litellm.AuthenticationError: VllmException - no", None),
        (422, "Budget has been exceeded!", None),
    ],
)
def test_a_refusal_is_told_in_a_line(program: ModuleType, status: int, words: str, told: str | None) -> None:
    assert program.refusal(Answered(status, words + ADVICE)) == told


def test_a_parameter_of_another_path_is_named(program: ModuleType) -> None:
    words = (
        "litellm.InternalServerError: AsyncCompletions.create() got an unexpected keyword argument 'response_format'"
    )
    answer = asyncio.run(program.handler.async_post_call_failure_hook(original_exception=Answered(500, words + ADVICE)))
    assert answer.given == {"status_code": 400, "detail": '"response_format" is not a parameter here'}


def test_litellms_own_stumbling_is_told_from_a_broken_server(program: ModuleType) -> None:
    error = Answered(500)
    assert not program.unreadable(error)
    error.__cause__ = TypeError("'int' object is not iterable")
    assert program.unreadable(error)


class Table:
    """One of Prisma's tables, by its key."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self.rows = rows

    async def find_unique(self, where: dict[str, str]) -> Any:
        (key,) = where.values()
        return self.rows.get(key)


@pytest.mark.parametrize(("person", "day"), [("ada", "2026-12-01"), ("bob", "2026-11-30"), ("new", "2026-11-30")])
def test_who_is_over_budget_reads_when_it_is_full_again(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, person: str, day: str
) -> None:
    resets = {"staff": datetime(2026, 12, 1), "everybody": datetime(2026, 11, 30)}
    tables = SimpleNamespace(
        litellm_endusertable=Table({"ada": SimpleNamespace(budget_id="staff"), "bob": SimpleNamespace(budget_id=None)}),
        litellm_budgettable=Table({name: SimpleNamespace(budget_reset_at=at) for name, at in resets.items()}),
    )
    monkeypatch.setattr(sys.modules["litellm"], "max_end_user_budget_id", "everybody", raising=False)
    server = sys.modules["litellm.proxy.proxy_server"]
    monkeypatch.setattr(server, "prisma_client", SimpleNamespace(db=tables), raising=False)
    error = Answered(429)
    error.entity_type, error.entity_id = "end_user", person  # type: ignore[attr-defined]
    answer = asyncio.run(program.handler.async_post_call_failure_hook(original_exception=error))
    assert answer.given == {"status_code": 429, "detail": f"Full again on {day}."}
