"""Of two runs the second waits, and hears that it does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from parrotpark.shared.lock import locked


def test_the_second_run_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run/keep.lock"
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with locked(path, waits.set):
            order.append("second")

    with locked(path, lambda: pytest.fail("nobody else holds it")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_run_that_fails_opens_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "lock", lambda: None):
        raise KeyboardInterrupt
    with locked(tmp_path / "lock", lambda: pytest.fail("it is still held")):
        pass
