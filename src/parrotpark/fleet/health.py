"""Which slots are ready: those in which every model answers."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

TIMEOUT = 3.0  # seconds

# Never through a proxy: the overlay is ours alone.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(address: str, port: int) -> bool:
    """Say whether the model server there is healthy."""
    host = f"[{address}]" if ":" in address else address
    try:
        with _OPENER.open(f"http://{host}:{port}/health", timeout=TIMEOUT) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


def ready(addresses: Iterable[str], ports: Sequence[int]) -> frozenset[str]:
    """Return those of the addresses at which every port answers, asking all at the same time."""
    asked = [(address, port) for address in addresses for port in ports]
    if not asked:
        return frozenset()
    with ThreadPoolExecutor(max_workers=min(len(asked), 16)) as pool:
        answered = list(pool.map(lambda pair: answers(*pair), asked))
    silent = {address for (address, _), ok in zip(asked, answered, strict=True) if not ok}
    return frozenset(address for address, _ in asked) - silent
