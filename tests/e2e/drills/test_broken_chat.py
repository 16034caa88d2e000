"""Break what an answer needs, in turn: a question in the browser does not count as answered then, and does afterwards.

This proves the browser tests: a check that finds an answer where there is none would find one here.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import openai
import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as TooLate
from testinfra.host import Host

from parrotpark.answers import Messages, Unanswered, answer
from parrotpark.verify import Endpoints

QUESTION = "What is the capital of France?"
SECRETS = "/etc/open-webui/secrets.env"
BEGUN_WITHIN = 20_000  # milliseconds
ANSWERED_WITHIN = 120  # seconds
MENDED_WITHIN = 240  # seconds; a model loads slowly on a processor

type Says = Callable[[str, Messages], str]
type Answered = Callable[[Page], str]


@dataclass(frozen=True)
class Break:
    """What is done to which host, how it is undone, and why the question does not count as answered then."""

    on: str
    broken: str
    mended: str
    why: str


BREAKS = {
    "gateway": Break("entry", "systemctl stop litellm", "systemctl start litellm", "stored an error"),
    "model": Break("gpu", "systemctl stop 'vllm@*'", "systemctl start parrotpark-models.target", "error.*asleep"),
    "key": Break(
        "entry",
        f"cp --preserve {SECRETS} /root && sed --in-place 's/^OPENAI_API_KEY=/&not-/' {SECRETS}"
        " && systemctl restart open-webui",
        f"mv /root/secrets.env {SECRETS} && systemctl restart open-webui",
        "error.*(?i:key)",
    ),
    "database": Break("entry", "systemctl stop postgresql", "systemctl start postgresql", "began no chat"),
}


@pytest.fixture
def says(client: openai.OpenAI) -> Says:
    """Asks a model greedily, past the chat."""

    def says(model: str, asked: Messages) -> str:
        reply = client.chat.completions.create(model=model, messages=[*asked], temperature=0)  # type: ignore[list-item]
        return reply.choices[0].message.content or ""

    return says


@pytest.fixture
def answered(browse_as_admin: httpx2.Client, says: Says) -> Answered:
    """Waits until the question just asked in a page is answered, there and in the store; returns the answer."""

    def answered(page: Page) -> str:
        try:
            page.wait_for_url("**/c/*", timeout=BEGUN_WITHIN)
        except TooLate as late:
            raise Unanswered("the page began no chat") from late
        stored = f"/api/v1/chats/{page.url.rpartition('/')[2]}"
        text = answer(lambda: browse_as_admin.get(stored).raise_for_status().json(), says, ANSWERED_WITHIN)
        words = re.findall(r"\w+", text.strip().splitlines()[0])  # the page draws the rest from Markdown
        expect(page.locator(".chat-assistant").last).to_contain_text(re.compile(r"\W+".join(words)))
        return text

    return answered


def ask(page: Page) -> None:
    page.locator("#chat-input").fill(QUESTION)
    page.keyboard.press("Enter")


def await_model(says: Says, model: str) -> None:
    deadline = time.monotonic() + MENDED_WITHIN
    while True:
        try:
            says(model, [{"role": "user", "content": QUESTION}])
        except openai.APIError:
            assert time.monotonic() < deadline
            time.sleep(3)
        else:
            return


@pytest.mark.parametrize("name", BREAKS)
def test_a_question_counts_as_answered_only_while_nothing_is_broken(
    name: str, request: pytest.FixtureRequest, chat: Page, answered: Answered, says: Says, endpoints: Endpoints
) -> None:
    host: Host = request.getfixturevalue(BREAKS[name].on)
    host.check_output(BREAKS[name].broken)
    try:
        ask(chat)
        with pytest.raises(Unanswered, match=BREAKS[name].why):
            answered(chat)
    finally:
        host.check_output(BREAKS[name].mended)
    await_model(says, endpoints.generate_model)
    chat.goto(endpoints.chat)
    ask(chat)
    assert "Paris" in answered(chat)
