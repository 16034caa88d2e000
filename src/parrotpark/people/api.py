"""The JSON that services of the entry server speak to their administrator."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from parrotpark.people.directory import Refused

TIMEOUT_SECONDS = 30


def ask(service: str, unit: str, url: str, key: str, body: Mapping[str, Any] | None = None) -> Any:
    """GET, or POST where there is a body; the first two are for messages.

    Raises:
        Refused: it does not answer, or not as wished.
    """
    request = urllib.request.Request(  # noqa: S310 - an option
        url,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise Refused(f"{service} refuses {request.selector}: {error.code} {said}") from error
    except (OSError, ValueError) as error:
        raise Refused(f"{service} does not answer: {error}; see `make logs UNIT={unit}`") from error
