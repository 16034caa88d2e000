"""What took how long is remembered, and never fails a run."""

from __future__ import annotations

from pathlib import Path

from parrotpark.shared.history import History


def test_the_median_of_the_last_five_is_usual(tmp_path: Path) -> None:
    history = History(tmp_path / "state/history.jsonl")
    assert history.usual("wake") is None
    for seconds in (1000, 40, 41, 42, 43, 900):
        history.add("wake", seconds, now=1)
        history.add("sleep", 5.04, now=1)
    assert history.usual("wake") == 42
    assert history.usual("sleep") == 5.0


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    for _ in range(210):
        history.add("wake", 1, now=1)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 200


def test_what_is_broken_or_cannot_be_written_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('nonsense\n[]\n{"step": "wake", "seconds": "many"}\n{"step": "wake", "seconds": 7}\n')
    assert History(path).usual("wake") == 7
    History(path / "below").add("wake", 1, now=1)
    assert History(path / "below").usual("wake") is None
