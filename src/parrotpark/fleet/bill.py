"""What the GPU hosts have cost this month, by prices and hours: an estimate with which a cap ends the spending.

Servers bill while they exist, running or not. What else a cloud bills, such as images and volumes, is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from parrotpark.cloud import Offer, Server
from parrotpark.fleet.memory import recall
from parrotpark.shared.files import write_file

HOUR = 3600  # seconds
WARN = 0.9  # of the cap


@dataclass(frozen=True, slots=True)
class Bill:
    """The spending of one month."""

    month: str  # YYYY-MM, in UTC
    euros: float  # without VAT
    until: int  # epoch seconds, up to which it is reckoned
    prices: Mapping[str, float] = field(default_factory=dict)  # euros an hour by offer, as the clouds told them

    def with_hours(self, servers: Sequence[Server], prices: Mapping[Offer, float], now: int) -> Bill:
        """Add what the servers have cost since; a new month begins at nothing. `now` is epoch seconds."""
        new = month(now) != self.month
        begin = max(self.until, _first_second(now)) if new else self.until
        hours = ((max(0, now - max(begin, server.created)) / HOUR, prices.get(server.offer, 0.0)) for server in servers)
        spent = sum(hours_ * price for hours_, price in hours)
        told = {str(offer): price for offer, price in prices.items()}
        # A new month asks for new prices.
        return Bill(month(now), spent if new else self.euros + spent, max(now, self.until), {} if new else told)


def month(now: int) -> str:
    """Name the month of a moment in epoch seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def _first_second(now: int) -> int:
    return int(datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0).timestamp())


def capped(euros: float, cap: float | None) -> str:
    """Say that the cap is reached; nothing if it is not."""
    if cap is None or euros < cap:
        return ""
    return f"the month's cap of EUR {cap:.2f} is reached: raise parrotpark_gpu_monthly_cap, or wait for the next month"


def warning(euros: float, cap: float | None) -> str:
    """Say that the cap will soon be reached; nothing if it will not."""
    if cap is None or not cap * WARN <= euros < cap:
        return ""
    return f"EUR {euros:.2f} of the month's cap of EUR {cap:.2f} are spent: at the cap the GPU hosts are put to sleep"


class Bills:
    """A small file on the data volume, so that a new entry server knows what the old one has spent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, now: int) -> Bill:
        """Return the bill of the newest month; one of nothing, from now on, if the file makes no sense or is none."""
        try:
            values = recall(self._path)
            prices = {str(offer): float(price) for offer, price in values["prices"].items()}
            return Bill(str(values["month"]), float(values["euros"]), int(values["until"]), prices)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Bill(month(now), 0.0, now)

    def write(self, bill: Bill) -> None:
        """Keep the bill.

        Raises:
            OSError: it cannot be written.
        """
        write_file(self._path, f"{json.dumps(asdict(bill))}\n".encode(), 0o644)


def known_prices(bill: Bill, offers: Iterable[Offer], given: Mapping[Offer, float]) -> dict[Offer, float]:
    """Return what the inventory gives for offers, or else what a cloud has told before."""
    told = {offer: bill.prices[str(offer)] for offer in offers if str(offer) in bill.prices}
    return told | dict(given)
