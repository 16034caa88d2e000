"""What is remembered of lost hosts; the pauses that follow from it are in test_decide.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from parrotpark.fleet.losses import KEPT, Loss, Losses

NEVER, ONCE = Loss(1, served=False, reason="it was late"), Loss(2, served=True, reason="it was lost")


@pytest.fixture
def losses(tmp_path: Path) -> Losses:
    return Losses(tmp_path / "state/losses.json")


def test_they_are_kept_in_their_order(losses: Losses) -> None:
    assert losses.read() == ()
    losses.add(NEVER)
    losses.add(ONCE)
    assert losses.read() == (NEVER, ONCE)


def test_one_that_serves_ends_a_row_but_not_the_hour(losses: Losses) -> None:
    losses.add(NEVER)
    losses.add(ONCE)
    losses.served()
    assert [(loss.at, loss.served) for loss in losses.read()] == [(1, True), (2, True)]


def test_they_can_be_forgotten(losses: Losses) -> None:
    losses.forget()
    losses.add(NEVER)
    losses.forget()
    assert losses.read() == ()


def test_the_file_does_not_grow(losses: Losses) -> None:
    for at in range(99):
        losses.add(Loss(at, served=True, reason="it was lost"))
    assert [loss.at for loss in losses.read()] == list(range(99))[-KEPT:]


@pytest.mark.parametrize("text", ["", "{", "7", "{}", "[7]", '[{"at": 1}]', '[{"at": "x", "served": 1, "reason": ""}]'])
def test_a_file_that_makes_no_sense_says_nothing(losses: Losses, tmp_path: Path, text: str) -> None:
    losses.add(NEVER)
    (tmp_path / "state/losses.json").write_text(text)
    assert losses.read() == ()
