"""The wish is one line of a file; what is not valid is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from parrotpark.shared.wish import ASLEEP, Wish, WishError, read_wish, write_wish


@pytest.mark.parametrize(
    ("text", "wish"), [("asleep\n", ASLEEP), ("awake", Wish(None)), (" awake 2 ", Wish(2)), ("awake 1", Wish(1))]
)
def test_what_is_written_is_read(tmp_path: Path, text: str, wish: Wish) -> None:
    assert Wish.parse(text) == wish
    assert Wish.parse(wish.render()) == wish
    assert write_wish(tmp_path / "wish", wish)
    assert read_wish(tmp_path / "wish") == wish
    assert not write_wish(tmp_path / "wish", wish)


@pytest.mark.parametrize(
    "text", ["", "awake 0", "awake -1", "awake two", "asleep 2", "sleep", "awake\nawake", "awake 1000"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(WishError, match="is not a valid wish: write asleep, awake or awake N"):
        Wish.parse(text)


def test_a_wish_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WishError, match=r"there is no wish in .*/wish: run parrotpark wake or parrotpark sleep"):
        read_wish(tmp_path / "wish")


def test_a_wish_that_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(WishError, match=r"cannot be read: .*Is a directory"):
        read_wish(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(WishError, match=r"cannot be written to .*/file/wish"):
        write_wish(tmp_path / "file/wish", ASLEEP)


def test_there_are_never_more_hosts_than_slots() -> None:
    assert Wish(3).fitting(3) == Wish(3)
    assert Wish(None).fitting(1) == Wish(None)
    with pytest.raises(WishError, match="the wish is for 4 hosts, but there are 3 slots"):
        Wish(4).fitting(3)
