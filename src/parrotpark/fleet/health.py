"""Which slots are ready, those in which every model answers; and why the cards of a host may not serve."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

TIMEOUT = 3.0  # seconds
PATIENCE = 5.0  # seconds for a host to look at its cards
LONGEST = 200  # characters of a reason: it is a host's word, and goes into logs
ANSWER = 2**16  # bytes of the answer that are read

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


def complaints(addresses: Iterable[str], port: int) -> Mapping[str, str]:
    """Return by its address why a host's cards may not serve, of those hosts that say so, asking all at once."""
    asked = list(addresses)
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=min(len(asked), 16)) as pool:
        answers = pool.map(lambda address: _complaint(address, port), asked)
        return {address: words for address, words in zip(asked, answers, strict=True) if words}


def _complaint(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    try:
        with _OPENER.open(f"http://{host}:{port}/health", timeout=PATIENCE):
            return ""
    except urllib.error.HTTPError as error:
        try:
            reasons = json.loads(error.read(ANSWER))["reasons"]
            text = "; ".join(map(str, reasons))
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return ""
        return "".join(letter for letter in text if letter.isprintable())[:LONGEST]
    except (OSError, HTTPException):
        return ""
