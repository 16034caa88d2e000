"""What the chat is told that a model can, and what of it has to change."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.programs import load

TALKER = {"name": "smollm2", "tools": False, "pictures": False}
ABLE = {"name": "qwen3", "tools": True, "pictures": False}
# What the program takes from Open WebUI and from what that brings.
PARTS = [
    "open_webui.internal.db",
    "open_webui.models.files",
    "open_webui.models.functions",
    "open_webui.models.models",
    "open_webui.models.users",
    "open_webui.storage.provider",
    "sqlalchemy",
]
NATIVE: dict[str, Any] = {
    "params": {"function_calling": "native"},
    "meta": {"capabilities": {"builtin_tools": True, "vision": False}, "declared": True},
}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, loaded from its file; Open WebUI, which it is a part of when it runs, is not here."""
    for name in PARTS:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    return load("roles/open_webui/files/contents.py")


def test_only_what_can_do_more_than_talk_is_kept(program: ModuleType) -> None:
    assert list(program.changes([TALKER, ABLE], {})) == [("qwen3", NATIVE)]
    assert list(program.changes([TALKER, ABLE], {"qwen3": NATIVE})) == []


def test_what_an_administrator_set_beside_ours_stays(program: ModuleType) -> None:
    theirs: dict[str, Any] = {"params": {"function_calling": "legacy", "system": "Be kind."}, "meta": {"tags": ["x"]}}
    ((name, parts),) = program.changes([ABLE], {"qwen3": theirs})
    assert name == "qwen3"
    assert parts == {
        "params": {"function_calling": "native", "system": "Be kind."},
        "meta": {**NATIVE["meta"], "tags": ["x"]},
    }


def test_what_can_no_longer_is_removed_but_only_if_it_was_ours(program: ModuleType) -> None:
    theirs: dict[str, Any] = {"params": {}, "meta": {"capabilities": {"vision": True}}}
    assert list(program.changes([{**ABLE, "tools": False}], {"qwen3": NATIVE, "theirs": theirs})) == [("qwen3", None)]
