"""`make up MODEL=…` is remembered until another model is named."""

from pathlib import Path

import pytest

from localcloud.demo.up import DEFAULT_MODEL, remember
from parrotpark.control.models import ModelError


def test_a_model_is_remembered_until_another_is_named(tmp_path: Path) -> None:
    file = tmp_path / "artifacts" / "chat-model"
    remember(None, file)
    assert file.read_text().strip() == DEFAULT_MODEL
    remember("/srv/models/mine", file)
    remember(None, file)
    assert file.read_text().strip() == "/srv/models/mine"


def test_what_is_not_a_model_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "chat-model"
    remember("/srv/models/mine", file)
    with pytest.raises(ModelError):
        remember("gpt-4", file)
    assert file.read_text().strip() == "/srv/models/mine"
