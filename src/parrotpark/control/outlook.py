"""What an inventory will cost, and whether its names lead to the entry server: said before anything is created."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence

from parrotpark.cloud import Cloud, Offer, Server
from parrotpark.shared import lease as label

MONTH = 730  # hours

type Resolve = Callable[[str], Sequence[str]]


def resolve(name: str) -> Sequence[str]:
    """Return the addresses of a DNS name; none if it has none, or no name server answers."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except OSError:
        return []


def without_address(wanted: Iterable[str], ask: Resolve = resolve) -> list[str]:
    """List the DNS names that lead nowhere: no certificate can be had for them."""
    return [name for name in wanted if not ask(name)]


def prices(cloud: Cloud, offers: Iterable[Offer], given: Mapping[Offer, float]) -> dict[Offer, float | None]:
    """Return what each offer costs in euros an hour, as the inventory gives it, or else the cloud.

    Raises:
        CloudError: the cloud cannot be asked.
    """
    return {offer: given[offer] if offer in given else cloud.price(offer) for offer in offers}


def costs(entry: float | None, gpu: Mapping[Offer, float | None], hosts: int, hours: int) -> list[str]:
    """Say what an hour and a month cost: of the entry server, which is always there, and of `hosts` for `hours`."""
    lines = [f"the entry server: {_month(entry, MONTH)}"]
    for offer, price in gpu.items():
        each = "its cloud tells no price: set `price` of the offer" if price is None else f"EUR {price:.3f} an hour"
        lines.append(f"a GPU host, {offer}: {each}")
    first = next(iter(gpu.values()), None)
    lines.append(f"{hosts} of the first offer for {hours} hours: {_month(first, hosts * hours)}")
    return lines


def _month(price: float | None, hours: int) -> str:
    return "no price is known" if price is None else f"about EUR {price * hours:.2f} a month, without VAT"


def names(wanted: Iterable[str], servers: Sequence[Server], ask: Resolve = resolve) -> tuple[list[str], list[str]]:
    """Compare DNS names with the entry server: return what there is to say, and what is wrong."""
    entry = next((server for server in servers if server.labels.get(label.ROLE) == "entry"), None)
    own = {address for address in (entry.ipv4, entry.ipv6) if address} if entry else set()
    said: list[str] = []
    wrong: list[str] = []
    for name in wanted:
        found = ask(name)
        if not own:
            there = f"leads to {', '.join(found)}" if found else "leads nowhere yet"
            said.append(f"{name} {there}: point it at the entry server once that is made")
        elif not found:
            wrong.append(f"{name} has no address: point it at the entry server, {' and '.join(sorted(own))}")
        elif strange := sorted(set(found) - own):
            wrong.append(
                f"{name} leads to {', '.join(strange)}, but the entry server is {' and '.join(sorted(own))}: correct it"
            )
        else:
            said.append(f"{name} leads to the entry server")
    return said, wrong
