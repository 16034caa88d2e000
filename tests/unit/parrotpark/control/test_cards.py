"""What cards a server type has is looked up, never guessed, and the matrix says the same here as on the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parrotpark.cloud import Account, Offer
from parrotpark.control import cards as module
from parrotpark.control.cards import KNOWN, MATRIX, CardError, Cards, cards_of
from tests.programs import load

survey: Any = load("roles/nvidia/files/survey.py")

DATA = yaml.safe_load(KNOWN.read_text())
KERNEL = "6.12.118+deb13-cloud-amd64"
SCALEWAY = Account("s", "scaleway", "/no", "https://api.scaleway.com")
OVH = Account("o", "openstack", "/no", "https://auth.cloud.ovh.net/v3")
ELSEWHERE = Account("e", "openstack", "/no", "https://keystone.example.org/v3")
HETZNER = Account("h", "hetzner", "/no", "https://api.hetzner.cloud/v1")


def offer(server_type: str) -> Offer:
    return Offer("gpu", "here", server_type)


@pytest.fixture
def older_turing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A matrix of the day when newer branches have dropped Turing."""
    matrix = yaml.safe_load(MATRIX.read_text())
    next(row for row in matrix["cards"] if row["generation"] == "Turing")["branches"]["last"] = 610
    (tmp_path / "matrix.yml").write_text(yaml.safe_dump(matrix))
    monkeypatch.setattr(module, "MATRIX", tmp_path / "matrix.yml")
    module._matrix.cache_clear()
    yield
    module._matrix.cache_clear()


@pytest.mark.parametrize(
    ("account", "server_type", "cards"),
    [
        (SCALEWAY, "L4-1-24G", Cards("L4", 1)),
        (SCALEWAY, "H100-SXM-4-80G", Cards("H100 SXM", 4)),
        (SCALEWAY, "l4-90", None),
        (OVH, "l40s-180", Cards("L40S", 2)),
        (OVH, "b3-8", None),
        (ELSEWHERE, "l4-90", None),
    ],
)
def test_a_type_means_what_its_cloud_means_by_it(account: Account, server_type: str, cards: Cards | None) -> None:
    assert cards_of(None, offer(server_type), account) == cards


@pytest.mark.parametrize("account", [SCALEWAY, ELSEWHERE, HETZNER])
def test_what_the_inventory_says_counts(account: Account) -> None:
    assert cards_of({"card": "A10"}, offer("L4-1-24G"), account) == Cards("A10", 1)
    assert cards_of({"card": "L40S", "count": "2"}, offer("box"), account) == Cards("L40S", 2)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "cx33 in here at gpu: hetzner has no server type with a card: take an offer of another provider"),
        ({"card": "L5"}, "cx33 in here at gpu: card 'L5' is unknown; known: P100, "),
        ({"card": "L4", "count": 0}, "cx33 in here at gpu: gpu has count 0: a server has one card or more"),
    ],
)
def test_what_cannot_be_is_one_line(said: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(CardError) as caught:
        cards_of(said, offer("cx33"), HETZNER)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("branch", [535, 570, 580, 595, 615])
@pytest.mark.parametrize("name", DATA["cards"])
def test_the_control_machine_refuses_what_the_host_would(name: str, branch: int) -> None:
    matrix = yaml.safe_load(MATRIX.read_text())
    seen = survey.Host("debian13", KERNEL, (KERNEL,), (survey.Card("0000:01:00.0", DATA["cards"][name]["device"]),))
    there = next(survey.refusals(seen, survey.Wish(branch, ("debian13",), matrix)), None)
    assert (Cards(name, 1).refusal(branch) is None) is (there is None)


@pytest.mark.parametrize(
    ("name", "branch", "words"),
    [
        (
            "V100S",
            580,
            "V100S is of generation Volta, too old for vLLM 0.32: compute capability 7.5 is the least; these ",
        ),
        ("L4", 550, "L4 under vLLM 0.32 needs driver branch 580 or newer, not 550: set parrotpark_nvidia_branch: 580"),
    ],
)
def test_a_refusal_names_what_works(name: str, branch: int, words: str) -> None:
    assert str(Cards(name, 1).refusal(branch)).startswith(words)
    named = [
        card for card in DATA["cards"] if f" {card}" in str(Cards("V100", 1).refusal(580)).partition("would do:")[2]
    ]
    assert {"L4", "L40S"} <= set(named)
    assert [card for card in named if Cards(card, 1).refusal(580)] == []


@pytest.mark.usefixtures("older_turing")
def test_a_card_may_end_with_a_branch() -> None:
    assert Cards("T4", 1).refusal(610) is None
    assert Cards("T4", 1).refusal(615) == (
        "T4 under vLLM 0.32 needs driver branch 580 to 610, not 615: set parrotpark_nvidia_branch: 580"
    )
    assert Cards("L4", 1).refusal(615) is None


def test_every_card_is_in_one_row_and_every_type_has_a_known_card() -> None:
    assert {found["card"] for cloud in DATA["types"] for found in cloud["types"].values()} <= DATA["cards"].keys()
    for name in DATA["cards"]:
        assert Cards(name, 1).each.capability >= (6, 1)
    # What a name says of itself
    for cloud in DATA["types"]:
        for server_type, found in cloud["types"].items():
            if cloud["provider"] == "scaleway" and server_type != "RENDER-S":
                assert f"-{found['count']}-" in server_type
                assert server_type.startswith(found["card"].replace(" ", "-"))
