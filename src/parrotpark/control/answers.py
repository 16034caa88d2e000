"""When a question in the chat counts as answered: the stored answer is done, has no error and is what the model says.

Text in the place of an answer proves nothing: the chat shows its errors there, and so may anything in front of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What a model thought before it answered, as models write it and as Open WebUI stores it.
_REASONING = re.compile(r"<think>.*?</think>|<details type=\"reasoning\".*?</details>", re.DOTALL)

COMMON_WORDS = 8  # that two greedy answers begin with, at least

type Messages = Sequence[Mapping[str, str]]


class Unanswered(Exception):
    """The question does not count as answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The last answer of a stored chat, and what its model was asked."""

    model: str
    asked: Messages
    answer: str


def last_turn(chat: Mapping[str, Any]) -> Turn | None:
    """Read a chat as Open WebUI's `/api/v1/chats/{id}` returns it; return None as long as its answer is not done.

    None also while it has no text: it is marked as done while a tool works.

    Raises:
        Unanswered: the chat stored an error.
    """
    history = chat["chat"]["history"]
    messages = history["messages"]
    stored = messages.get(history["currentId"], {})
    if error := stored.get("error"):
        raise Unanswered(f"the chat stored an error: {error}")
    if stored.get("role") != "assistant" or not stored.get("done") or not stored["content"].strip():
        return None
    asked: list[Mapping[str, str]] = []
    parent = stored["parentId"]
    while parent:
        asked.insert(0, {"role": messages[parent]["role"], "content": messages[parent]["content"]})
        parent = messages[parent]["parentId"]
    return Turn(stored["model"], asked, stored["content"])


def answer(
    question: str,
    read: Callable[[], Mapping[str, Any]],
    ask_model: Callable[[str, Messages], str],
    patience: float,
    interval: float = 0.5,
) -> str:
    """Wait until the question that was asked last in a chat is answered, and return the answer.

    `read` reads the stored chat. `ask_model` asks a model the same greedily, past the chat: so that is greedy too.

    Raises:
        Unanswered: the chat stored something other than what the model says, or nothing in `patience` seconds.
    """
    deadline = time.monotonic() + patience
    # At first the store may still end with the answer to what was asked before.
    while not (turn := last_turn(read())) or turn.asked[-1]["content"] != question:
        if time.monotonic() > deadline:
            raise Unanswered(f"the chat stored no complete answer within {patience:.0f} s")
        time.sleep(interval)
    said = ask_model(turn.model, turn.asked)
    if not _same(_words(turn.answer), _words(said)):
        raise Unanswered(f"the chat stored {turn.answer!r}, the model says {said!r}")
    return turn.answer


def _words(text: str) -> list[str]:
    return _REASONING.sub("", text).split()


def _same(stored: Sequence[str], said: Sequence[str]) -> bool:
    """Say whether both are one answer: greedy ones may diverge, as rounding depends on what else an engine computes."""
    common = next((n for n, pair in enumerate(zip(stored, said, strict=False)) if pair[0] != pair[1]), None)
    if common is None:  # they are equal, or one is the beginning of the other
        return len(stored) == len(said)
    return common >= COMMON_WORDS
