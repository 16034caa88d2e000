"""What the GPU hosts cost is reckoned from what is seen, and a cap ends the spending."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.cloud import Offer, Server
from parrotpark.fleet import decide
from parrotpark.fleet.actions import Create, Delete, Shortfall
from parrotpark.fleet.bill import HOUR, Bill, Bills, capped, warning
from parrotpark.fleet.status import status
from parrotpark.shared.wish import Wish

if TYPE_CHECKING:
    from parrotpark.fleet.config import Fleet
    from tests.unit.parrotpark.fleet.conftest import Controller, Project

NOW = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
OFFER = Offer("gpu", "fsn1", "gpu-l4")
SERVER = Server("7", "gpu-1", "off", "gpu", "fsn1", "gpu-l4", None, None, None, {}, NOW - 10 * HOUR)
PRICES = {OFFER: 0.75}
AWAKE = Wish.parse("awake")


def test_a_server_costs_its_price_an_hour_even_when_it_is_off() -> None:
    bill = Bill("2026-11", 1.0, NOW - 2 * HOUR).with_hours([SERVER, SERVER], PRICES, NOW)
    assert (bill.euros, bill.until, bill.prices) == (4.0, NOW, {str(OFFER): 0.75})


def test_one_that_is_younger_than_the_last_step_costs_from_its_creation() -> None:
    young = replace(SERVER, created=NOW - HOUR // 2)
    assert Bill("2026-11", 0.0, NOW - 2 * HOUR).with_hours([young], PRICES, NOW).euros == 0.375


def test_a_new_month_begins_at_nothing_but_for_its_own_first_hours() -> None:
    at = int(datetime(2026, 12, 1, 1, tzinfo=UTC).timestamp())
    bill = Bill("2026-11", 99.0, at - 3 * HOUR, {str(OFFER): 0.75}).with_hours([SERVER], PRICES, at)
    assert (bill.month, bill.euros, bill.prices) == ("2026-12", 0.75, {})


def test_a_clock_that_goes_back_costs_nothing_twice() -> None:
    bill = Bill("2026-11", 1.0, NOW).with_hours([SERVER], PRICES, NOW - HOUR)
    assert bill.with_hours([SERVER], PRICES, NOW).euros == 1.0


@given(steps=st.lists(st.integers(1, 3 * 24 * HOUR), max_size=20))
def test_however_often_it_is_reckoned_the_sum_is_the_same(steps: list[int]) -> None:
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    server, bill, now = replace(SERVER, created=begin), Bill("2026-01", 0.0, begin), begin
    for step in steps:
        if (now := now + step) >= begin + 31 * 24 * HOUR:
            return
        bill = bill.with_hours([server], PRICES, now)
    assert bill.euros == pytest.approx((now - begin) / HOUR * 0.75)


@pytest.mark.parametrize("text", ["", "{", "7", "[]", '{"month": "2026-11"}', '{"prices": [], "month": "2026-11"}'])
def test_a_file_that_makes_no_sense_begins_anew(tmp_path: Path, text: str) -> None:
    bills = Bills(tmp_path / "bill.json")
    bills.write(Bill("2026-11", 3.0, NOW, {"x": 1.0}))
    assert bills.read(NOW) == Bill("2026-11", 3.0, NOW, {"x": 1.0})
    (tmp_path / "bill.json").write_text(text)
    assert bills.read(NOW) == Bill("2026-11", 0.0, NOW)


def test_the_cap_is_warned_of_and_then_reached() -> None:
    assert (warning(8.9, 10), capped(8.9, 10), warning(99, None), capped(99, None)) == ("", "", "", "")
    assert warning(9.0, 10).startswith("EUR 9.00 of the month's cap of EUR 10.00 are spent")
    assert (warning(10.0, 10), capped(9.99, 10)) == ("", "")
    assert capped(10.0, 10).startswith("the month's cap of EUR 10.00 is reached: raise parrotpark_gpu_monthly_cap")


def test_at_the_cap_hosts_end_and_none_is_created(fleet: Fleet, project: Project, controller: Controller) -> None:
    project.save()
    controller.wish("awake")
    controller.keeper.keep(AWAKE)
    project.clock.sleep(60)
    controller.keeper.keep(AWAKE)
    frugal = replace(fleet, monthly_cap=5.0)
    seen = replace(controller.keeper.look(), spent=4.99)
    assert not [action for action in decide.decide(frugal, AWAKE, seen) if isinstance(action, Delete | Shortfall)]
    actions = decide.decide(frugal, AWAKE, replace(seen, spent=5.0))
    assert [type(action) for action in actions] == [Delete, Shortfall]
    assert all("the month's cap of EUR 5.00 is reached" in str(action) for action in actions)
    assert not [action for action in actions if isinstance(action, Create)]
    assert "about EUR 5.00 of EUR 5.00 spent" in status(frugal, AWAKE, replace(seen, spent=5.0)).bill


def test_hosts_are_reckoned_by_the_clouds_price_or_the_inventorys(fleet: Fleet, controller: Controller) -> None:
    controller.project.save()
    controller.wish("awake")
    controller.keeper.keep(AWAKE)
    controller.clock.sleep(HOUR)
    controller.keeper.keep(AWAKE)
    assert controller.keeper.look().spent == pytest.approx(1.0)  # the simulated cloud takes one euro
    controller.fleet = replace(fleet, prices=dict.fromkeys(fleet.offers, 3.0))
    controller.clock.sleep(HOUR)
    controller.keeper.sweep()
    assert controller.keeper.look().spent == pytest.approx(4.0)


def test_a_cap_without_a_price_creates_nothing(fleet: Fleet, controller: Controller) -> None:
    controller.project.save()
    controller.project.price = None
    controller.fleet = replace(fleet, monthly_cap=5.0)
    (trouble,) = controller.keeper.keep(AWAKE).troubles
    assert "nobody knows what gpu-l4 in fsn1 at gpu" in str(trouble)
    assert controller.project.names() == []
