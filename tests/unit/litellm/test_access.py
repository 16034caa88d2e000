"""What has to change so that LiteLLM's teams and keys are the declared ones."""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import Any

import pytest


def stored(key: dict[str, Any], *, by_hand: bool = False) -> dict[str, Any]:
    """A key as LiteLLM lists it."""
    return {
        "key_alias": key["alias"],
        "token": hashlib.sha256(key["key"].encode()).hexdigest(),
        "team_id": key.get("team"),
        "models": key.get("models", []),
        "max_budget": key.get("max_budget"),
        "budget_duration": key.get("budget_duration"),
        "metadata": {} if by_hand else {"managed_by": "ansible"},
        "spend": 1.5,
    }


CHAT = {"alias": "chat", "key": "sk-chat", "team": "office", "max_budget": 10.0, "budget_duration": "30d"}


def words(changes: Any) -> list[str]:
    return [change.words for change in changes]


def test_a_key_as_declared_stays_untouched(access: ModuleType) -> None:
    assert words(access.key_changes([CHAT], [stored(CHAT)])) == []


def test_a_missing_key_is_made_with_the_mark(access: ModuleType) -> None:
    [change] = access.key_changes([CHAT], [])
    assert (change.path, change.body["key"], change.body["metadata"]) == (
        "/key/generate",
        "sk-chat",
        {"managed_by": "ansible"},
    )


@pytest.mark.parametrize(
    "setting",
    [{"max_budget": 20.0}, {"max_budget": None}, {"models": ["a"]}, {"team": None}, {"budget_duration": "7d"}],
)
def test_a_changed_setting_is_updated_in_place(access: ModuleType, setting: dict[str, Any]) -> None:
    [change] = access.key_changes([{**CHAT, **setting}], [stored(CHAT)])
    assert (change.path, change.words) == ("/key/update", "key chat: changed")
    assert "sk-chat" not in str(change.body)


def test_another_key_under_the_alias_takes_the_place_of_the_old_one(access: ModuleType) -> None:
    changes = list(access.key_changes([{**CHAT, "key": "sk-new"}], [stored(CHAT)]))
    assert [change.path for change in changes] == ["/key/delete", "/key/generate"]
    assert changes[0].body == {"keys": [stored(CHAT)["token"]]}


def test_a_key_that_is_no_longer_declared_is_deleted_unless_made_by_hand(access: ModuleType) -> None:
    other = {"alias": "other", "key": "sk-other"}
    assert words(access.key_changes([], [stored(CHAT), stored(other, by_hand=True)])) == ["key chat: deleted"]


def test_a_key_made_by_hand_is_adopted_once_declared(access: ModuleType) -> None:
    assert words(access.key_changes([CHAT], [stored(CHAT, by_hand=True)])) == ["key chat: changed"]


def test_teams_are_made_and_changed_but_never_deleted(access: ModuleType) -> None:
    actual = [
        {"team_id": "office", "team_alias": "office", "models": [], "max_budget": 50.0, "budget_duration": "30d"},
        {"team_id": "old", "team_alias": "old", "models": [], "max_budget": None, "budget_duration": None},
    ]
    declared = [{"alias": "office", "max_budget": 60, "budget_duration": "30d"}, {"alias": "new"}]
    assert words(access.team_changes(declared, actual)) == ["team office: changed", "team new: made"]


def test_budgets_are_made_and_changed_but_never_deleted(access: ModuleType) -> None:
    actual = [{"budget_id": name, "max_budget": 20.0, "budget_duration": "30d"} for name in ("staff", "same", "old")]
    amounts = {"staff": 30, "same": 20, "new": 1}
    declared = [{"id": name, "max_budget": amount, "budget_duration": "30d"} for name, amount in amounts.items()]
    changes = list(access.budget_changes(declared, actual))
    assert words(changes) == ["budget staff: changed", "budget new: made"]
    assert changes[0].body == {"budget_id": "staff", "max_budget": 30, "budget_duration": "30d"}


def test_every_page_of_keys_is_read(access: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [stored({"alias": str(number), "key": f"sk-{number}"}) for number in range(access.PAGE + 1)]

    def call(_: object, path: str) -> dict[str, Any]:
        page = int(path.rpartition("=")[2])
        return {"keys": keys[(page - 1) * access.PAGE : page * access.PAGE]}

    monkeypatch.setattr(access.Api, "call", call)
    assert access.Api("gateway:4000", "sk-master").keys() == keys
