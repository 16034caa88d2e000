"""What it will cost, and whether the names lead to the entry server, is said before anything is created."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Offer, Server
from parrotpark.control import front, outlook

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

CHEAP, DEAR, UNKNOWN = (Offer("gpu", "fsn1", kind) for kind in ("l4", "h100", "other"))
MARK = {"parrotpark-role": "entry"}
ENTRY = Server("7", "e", "running", "c", "fsn1", "cx", None, "192.0.2.7", "2001:db8::7", MARK, 1)


def test_the_inventorys_price_wins_over_the_clouds(cloud: FakeCloud) -> None:
    here = Offer("fake", "fsn1", "gpu-l4")
    there = replace(here, location="nbg1")
    assert outlook.prices(cloud, [here, there], {}) == {here: cloud.price(here), there: cloud.price(there)}
    assert outlook.prices(cloud, [here, there], {here: 9.0, there: 0.0}) == {here: 9.0, there: 0.0}


def test_an_hour_and_a_month_are_said() -> None:
    assert outlook.costs(0.01, {CHEAP: 0.75, UNKNOWN: None}, hosts=2, hours=100) == [
        "the entry server: about EUR 7.30 a month, without VAT",
        "a GPU host, l4 in fsn1 at gpu: EUR 0.750 an hour",
        "a GPU host, other in fsn1 at gpu: its cloud tells no price: set `price` of the offer",
        "2 of the first offer for 100 hours: about EUR 150.00 a month, without VAT",
    ]
    assert outlook.costs(None, {UNKNOWN: None, DEAR: 3.0}, hosts=1, hours=1)[-1].endswith(": no price is known")


@pytest.mark.parametrize(
    ("addresses", "said", "wrong"),
    [
        (["192.0.2.7"], "ai.example leads to the entry server", ""),
        (["192.0.2.7", "2001:db8::7"], "ai.example leads to the entry server", ""),
        ([], "", "ai.example has no address: point it at the entry server, 192.0.2.7 and 2001:db8::7"),
        (
            ["192.0.2.7", "192.0.2.9"],
            "",
            "ai.example leads to 192.0.2.9, but the entry server is 192.0.2.7 and 2001:db8::7: correct it",
        ),
    ],
)
def test_names_are_compared_with_the_entry_server(addresses: list[str], said: str, wrong: str) -> None:
    others = [replace(ENTRY, ipv4="192.0.2.9", labels={"parrotpark-role": "gpu"})]
    found = outlook.names(["ai.example"], [*others, ENTRY], lambda _: addresses)
    assert found == ([said] if said else [], [wrong] if wrong else [])


def test_names_that_lead_nowhere_are_told_apart() -> None:
    known = {"ai.example": ["192.0.2.7"], "auth.ai.example": []}
    assert outlook.without_address(known, lambda name: known[name]) == ["auth.ai.example"]


@pytest.mark.parametrize(("addresses", "there"), [([], "leads nowhere yet"), (["192.0.2.9"], "leads to 192.0.2.9")])
def test_before_there_is_an_entry_server_nothing_is_wrong(addresses: list[str], there: str) -> None:
    line = f"ai.example {there}: point it at the entry server once that is made"
    assert outlook.names(["ai.example"], [], lambda _: addresses) == ([line], [])


def test_a_name_is_asked_for_where_the_machine_asks() -> None:
    assert "127.0.0.1" in outlook.resolve("localhost")
    assert outlook.resolve("nothing.invalid") == []


def test_which_names_those_are() -> None:
    assert front.names("ai.example", "auth.ai.example", 443, "") == ["ai.example", "auth.ai.example"]
    assert front.names("ai.example", "auth.ai.example", 443, "https://id.example") == ["ai.example"]
    assert front.names("localhost", "auth.localhost", 8443, "") == []
