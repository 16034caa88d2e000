"""What the entry server remembers of clouds: a file that makes no sense costs no more than the memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.cloud import Offer
from parrotpark.cloud.acquire import Attempt
from parrotpark.fleet.attempts import KEPT, REST, Attempts, awake
from parrotpark.fleet.whereabouts import Whereabout, Whereabouts, hidden

OFFERS = tuple(Offer("gpu", place, "gpu-l4") for place in ("fsn1", "nbg1", "hel1"))
NOW = 1_800_000_000
sets_of_attempts = st.lists(
    st.builds(
        Attempt, st.sampled_from(OFFERS), st.just("said"), st.just(1.0), st.integers(NOW - 2 * REST, NOW), st.booleans()
    )
).map(lambda attempts: sorted(attempts, key=lambda attempt: attempt.at))


@given(sets_of_attempts)
def test_offers_rest_by_their_last_attempt_and_never_all(attempts: list[Attempt]) -> None:
    last = {attempt.offer: attempt for attempt in attempts}
    resting = {offer for offer, attempt in last.items() if attempt.refused and attempt.at > NOW - REST}
    expected = [offer for offer in OFFERS if offer not in resting]
    assert list(awake(OFFERS, attempts, NOW)) == (expected or list(OFFERS))


def test_attempts_are_kept_in_their_order_until_they_are_forgotten(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path / "state/attempts.json")
    assert attempts.read() == ()
    attempts.forget()
    many = [Attempt(OFFERS[0], "OutOfCapacity: sold out", 0.5, at, refused=True) for at in range(KEPT)]
    attempts.add(many[:5])
    attempts.add(many[5:])
    assert attempts.read() == tuple(many)
    newest = Attempt(OFFERS[1], "server 7", 2.0, 99)
    attempts.add([newest])
    assert attempts.read() == (*many[1:], newest)
    attempts.forget()
    assert attempts.read() == ()


def test_whereabouts_are_what_was_written_last(tmp_path: Path) -> None:
    whereabouts = Whereabouts(tmp_path / "state/whereabouts.json")
    assert whereabouts.read() == {}
    known = {"gpu-1": Whereabout(("gpu", "other"), NOW), "gpu-2": Whereabout(("other",), NOW + 9)}
    whereabouts.write(known)
    assert whereabouts.read() == known
    assert hidden(known, ["gpu"], NOW) == {"gpu-1"}
    assert hidden(known, ["other"], NOW) == {"gpu-1", "gpu-2"}
    assert hidden(known, ["other"], NOW + 1) == {"gpu-2"}
    assert hidden(known, [], NOW) == hidden(known, ["far"], NOW) == frozenset()


@pytest.mark.parametrize(
    "text", ["", "{", "7", "[7]", "{}", "[]", '[{"offer": {}}]', '{"gpu-1": 7}', '{"gpu-1": {"clouds": ["a"]}}', "null"]
)
def test_a_file_that_makes_no_sense_says_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "memory.json"
    file.write_text(text)
    assert Attempts(file).read() == ()
    assert Whereabouts(file).read() == {}
