"""What the chat stores is an answer only where the model says the same."""

from __future__ import annotations

from typing import Any

import pytest

from parrotpark.control.answers import Messages, Turn, Unanswered, answer, last_turn

PARIS = "The capital of France is Paris."
QUESTION = "What is the capital of France?"
ASKED = [{"role": "user", "content": QUESTION}]


def stored(**answer: Any) -> dict[str, Any]:
    """A chat of one question, as Open WebUI keeps it."""
    written = {"id": "a", "parentId": "q", "role": "assistant", "model": "small", "content": "", "done": True}
    question = {"id": "q", "parentId": None, "childrenIds": ["a"], **ASKED[0]}
    return {"id": "c", "chat": {"history": {"currentId": "a", "messages": {"q": question, "a": written | answer}}}}


def says(model: str, asked: Messages) -> str:
    assert (model, list(asked)) == ("small", ASKED)
    return PARIS


def test_what_the_model_says_is_an_answer() -> None:
    assert answer(QUESTION, lambda: stored(content=f"{PARIS}\n"), says, patience=0) == f"{PARIS}\n"


def test_greedy_answers_may_part_after_a_while() -> None:
    beginning = "It is the capital of France, as everybody knows"
    answered = answer(
        QUESTION, lambda: stored(content=f"{beginning} here."), lambda *_: f"{beginning} today.", patience=0
    )
    assert answered == f"{beginning} here."


def test_what_the_model_thought_is_no_part_of_the_answer() -> None:
    thought = f'<details type="reasoning" done="true"><summary>Thought</summary>Paris?\n</details>\n{PARIS}'
    assert (
        answer(QUESTION, lambda: stored(content=thought), lambda *_: f"<think>Lyon?</think>{PARIS}", patience=0)
        == thought
    )


def test_a_question_keeps_what_was_said_before_it() -> None:
    chat = stored(content=PARIS)
    again = {"id": "q2", "parentId": "a", "role": "user", "content": "Really?"}
    yes = {"id": "a2", "parentId": "q2", "role": "assistant", "model": "small", "content": "Yes.", "done": True}
    chat["chat"]["history"]["messages"] |= {"q2": again, "a2": yes}
    chat["chat"]["history"]["currentId"] = "a2"
    before = [*ASKED, {"role": "assistant", "content": PARIS}, {"role": "user", "content": "Really?"}]
    assert last_turn(chat) == Turn("small", before, "Yes.")


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (stored(content="Tools are not enabled."), "the model says 'The capital of France is Paris.'"),
        (stored(content=PARIS[:10]), "the model says"),
        (stored(content=f"{PARIS} Tools are not enabled."), "the model says"),
        (stored(content="The capital of France is Rome."), "the model says"),
        (stored(content="", error={"content": "asleep"}), "stored an error.*asleep"),
        (stored(content=PARIS, error={"content": "cut off"}), "stored an error.*cut off"),
        (stored(content=" \n"), "no complete answer"),
        (stored(content=PARIS, done=False), "no complete answer within 0 s"),
        (stored(role="user", content=PARIS), "no complete answer"),
        ({"chat": {"history": {"currentId": None, "messages": {}}}}, "no complete answer"),
    ],
    ids=[
        "an error's text",
        "a piece",
        "too much",
        "another answer",
        "error",
        "error below it",
        "blank",
        "unfinished",
        "no answer",
        "no question",
    ],
)
def test_nothing_else_is_one(chat: dict[str, Any], why: str) -> None:
    with pytest.raises(Unanswered, match=why):
        answer(QUESTION, lambda: chat, says, patience=0)


def test_an_answer_is_waited_for() -> None:
    writing = [stored(content=PARIS), stored(content=PARIS[:10], done=False), stored(done=False)]
    assert answer(QUESTION, writing.pop, says, patience=60, interval=0) == PARIS
    assert writing == []


def test_an_answer_to_what_was_asked_before_is_none() -> None:
    with pytest.raises(Unanswered, match="no complete answer"):
        answer("Really?", lambda: stored(content=PARIS), says, patience=0)
