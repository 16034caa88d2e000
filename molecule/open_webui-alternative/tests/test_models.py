"""Models are asked for what they can do, and for the tasks that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

type Ask = Callable[..., Any]

TOOL = '''\
class Tools:
    def parrot_name(self) -> str:
        """Names the parrot that lives in the town hall."""
        return "Amalia"
'''


@pytest.fixture(scope="module")
def tool(ask: Ask, token: str) -> Iterator[str]:
    made = {"id": "parrots", "name": "Parrots", "content": TOOL, "meta": {"description": "Parrots"}}
    yield ask("/api/v1/tools/create", made, token)["id"]
    ask("/api/v1/tools/id/parrots/delete", token=token, method="DELETE")


@pytest.mark.parametrize(("model", "called"), [("assistant", True), ("talker", False)])
def test_only_a_model_that_can_is_sent_tools(ask: Ask, token: str, tool: str, model: str, called: bool) -> None:
    question = {"model": model, "tool_ids": [tool], "messages": [{"role": "user", "content": "Who lives there?"}]}
    said = ask("/api/chat/completions", question, token)["choices"][0]["message"]["content"]
    assert ("parrot_name" in said) == called, said


def test_only_a_model_that_can_is_shown_pictures(ask: Ask, token: str) -> None:
    models = {model["id"]: model["info"]["meta"]["capabilities"] for model in ask("/api/models", token=token)["data"]}
    assert models == {
        "assistant": {"builtin_tools": True, "vision": False},
        "talker": {"builtin_tools": False, "vision": True},
    }


def test_only_the_chosen_tasks_are_on(ask: Ask, token: str) -> None:
    said = ask("/api/v1/tasks/config", token=token)
    assert {name: said[f"ENABLE_{name}_GENERATION"] for name in ("TITLE", "TAGS", "FOLLOW_UP", "RETRIEVAL_QUERY")} == {
        "TITLE": True,
        "TAGS": False,
        "FOLLOW_UP": False,
        "RETRIEVAL_QUERY": False,
    }
