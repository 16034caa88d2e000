"""Break what an answer needs, in turn: a question in the browser does not count as answered then, and does afterwards.

This proves the browser tests: a check that finds an answer where there is none would find one here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import openai
import pytest
from playwright.sync_api import Page
from testinfra.host import Host

from parrotpark.control.answers import Messages, Unanswered
from parrotpark.control.verify import Endpoints
from tests.e2e.pages import ask

QUESTION = "What is the capital of France?"
SECRETS = "/etc/open-webui/secrets.env"
HEALED_WITHIN = 240  # seconds; a model loads slowly on a processor

type Says = Callable[[str, Messages], str]


@dataclass(frozen=True)
class Break:
    """What is done to which host, how it is undone, and why the question does not count as answered then."""

    on: str
    broken: str
    repair: str
    why: str
    reopen: bool = False  # the page was opened anew since then


BREAKS = {
    "gateway": Break("entry", "systemctl stop litellm", "systemctl start litellm", "stored an error"),
    "model": Break("gpu", "systemctl stop 'vllm@*'", "systemctl start parrotpark-models.target", "error.*asleep"),
    "key": Break(
        "entry",
        f"cp --preserve {SECRETS} /root && sed --in-place 's/^OPENAI_API_KEY=/&not-/' {SECRETS}"
        " && systemctl restart open-webui",
        f"mv /root/secrets.env {SECRETS} && systemctl restart open-webui",
        "error.*(?i:key)",
        reopen=True,
    ),
    "database": Break(
        "entry", "systemctl stop postgresql", "systemctl start postgresql", "began no chat|does not tell what it stored"
    ),
}


def await_model(says: Says, model: str) -> None:
    deadline = time.monotonic() + HEALED_WITHIN
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
    name: str,
    request: pytest.FixtureRequest,
    chat: Page,
    answered: Callable[[Page, str], str],
    says: Says,
    endpoints: Endpoints,
) -> None:
    host: Host = request.getfixturevalue(BREAKS[name].on)
    host.check_output(BREAKS[name].broken)
    try:
        if BREAKS[name].reopen:
            chat.goto(endpoints.chat)
        ask(chat, QUESTION)
        with pytest.raises(Unanswered, match=BREAKS[name].why):
            answered(chat, QUESTION)
    finally:
        host.check_output(BREAKS[name].repair)
    await_model(says, endpoints.chat_model)
    chat.goto(endpoints.chat)
    ask(chat, QUESTION)
    assert "Paris" in answered(chat, QUESTION)
