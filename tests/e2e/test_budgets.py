"""Who may spend what: told in the chat when it is used up, and charged to nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import openai
import pytest
from playwright.sync_api import Page, expect
from testinfra.host import Host

from tests.e2e.pages import ask, enter
from tests.e2e.stores import spend_all

GUEST, MEMBER = "guest@parrotpark.invalid", "member@parrotpark.invalid"
SPENT = 1.5  # of the one dollar that guests have
WRITTEN_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def guest(person: Callable[..., Mapping[str, str]], entry: Host) -> Mapping[str, str]:
    """Somebody of a group with a small budget, who has spent it."""
    login = person(GUEST, "guests")
    spend_all(entry, GUEST, SPENT)
    return login


def sql(entry: Host, statement: str) -> str:
    return str(entry.check_output("runuser -u postgres -- psql litellm -tA -c %s", statement))


def spend(entry: Host, person: str) -> float:
    return float(sql(entry, f"SELECT spend FROM \"LiteLLM_EndUserTable\" WHERE user_id = '{person}'") or 0)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WRITTEN_WITHIN_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(2)


def test_who_is_over_budget_reads_when_it_is_full_again(
    page: Page, guest: Mapping[str, str], entry: Host, screenshot: Callable[[Page, str], None]
) -> None:
    enter(page, guest)
    ask(page, "What is the capital of France?")
    again = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1)
    words = f"Your budget is used up. It is full again on {again:%Y-%m-%d}."
    expect(page.locator(".chat-assistant")).to_contain_text(words)
    screenshot(page, "over-budget")
    assert f"spent {SPENT:.2f} of 1.00" in entry.check_output("parrotpark-people list | grep %s", GUEST)


def test_others_go_on_and_are_charged_for_it(
    page: Page, guest: Mapping[str, str], person: Callable[..., Mapping[str, str]], entry: Host
) -> None:
    enter(page, person(MEMBER, "staff"))
    ask(page, "What is the capital of France?")
    expect(page.locator(".chat-assistant")).to_contain_text("Paris")
    wait_until(lambda: spend(entry, MEMBER) > 0)
    assert spend(entry, guest["email"]) == SPENT


def test_a_program_that_poses_as_somebody_pays_itself(
    client: openai.OpenAI, guest: Mapping[str, str], entry: Host, generate_model: str
) -> None:
    posed = ("X-OpenWebUI-User-Email", "x-litellm-customer-id", "x-litellm-end-user-id")
    answer = client.chat.completions.create(
        model=generate_model,
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=4,
        user=guest["email"],
        safety_identifier=guest["email"],
        metadata={"user_id": guest["email"]},
        extra_headers=dict.fromkeys(posed, guest["email"]),
    )
    row = f"""SELECT json_build_array(key_alias, coalesce(end_user, ''), l.spend > 0) FROM "LiteLLM_SpendLogs" l
              JOIN "LiteLLM_VerificationToken" ON token = api_key WHERE request_id = '{answer.id}'"""
    wait_until(lambda: sql(entry, row) != "")
    assert json.loads(sql(entry, row)) == ["api", "", True]
    assert spend(entry, guest["email"]) == SPENT
