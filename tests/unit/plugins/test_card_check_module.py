"""parrotpark_card_check ends a run with a line for each offer whose cards could not serve, and notes the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

type Run = Callable[..., dict[str, Any]]

CONFIG = {
    **{"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16},
    **{"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936},
}


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], gpu: dict[str, str], tmp_path: Path) -> Run:
    """Runs the module with a box of the first cloud, changed as the test likes."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    models = [
        {"source": str(tmp_path), "purpose": purpose, "name": purpose, "context_length": 4096}
        for purpose in ("chat", "embedding")
    ]

    def run(*, card: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
        offer = {"cloud": "gpu", "location": "fsn1", "server_type": "box", "gpu": card}
        arguments = {"clouds": [gpu], "offers": [offer], "models": models, "branch": 580, **changes}
        return run_module(load_module("parrotpark_card_check"), **arguments)

    return run


@pytest.mark.parametrize("check", [False, True])
def test_what_fits_passes(run: Run, check: bool) -> None:
    result = run(card={"card": "L4"}, _ansible_check_mode=check)
    assert (result.get("failed"), result["changed"], result["notes"]) == (None, False, [])


@pytest.mark.parametrize(
    ("card", "changes", "message"),
    [
        ({"card": "V100"}, {}, "box in fsn1 at gpu: V100 is of generation Volta, too old for vLLM 0.32: "),
        ({"card": "L4"}, {"branch": 535}, "box in fsn1 at gpu: L4 under vLLM 0.32 needs driver branch 580 or newer, "),
        ({"card": "L4"}, {"models": []}, "no model has the purpose chat: add one"),
        ({"card": "L4"}, {"clouds": []}, "cloud 'gpu' is not in parrotpark_clouds, which has: none"),
        (None, {}, "box in fsn1 at gpu: hetzner has no server type with a card: "),
    ],
)
def test_what_does_not_go_is_one_line(
    run: Run, card: dict[str, Any] | None, changes: dict[str, Any], message: str
) -> None:
    result = run(card=card, **changes)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]


def test_what_was_not_checked_is_noted(run: Run) -> None:
    half = {"engine": {"gpu-memory-utilization": 0.4}}
    known = [
        {"source": "/nowhere", "purpose": purpose, "name": purpose, "context_length": 4096, **half}
        for purpose in ("chat", "embedding")
    ]
    assert len(run(card={"card": "L4"}, models=known)["notes"]) == 2
