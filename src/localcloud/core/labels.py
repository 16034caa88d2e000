"""Labels and label selectors as the Hetzner Cloud API defines them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_KEY = rf"(?:{_PREFIX}/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"

_REQUIREMENT = re.compile(
    rf"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>{_KEY})
      | (?P<key>{_KEY})
        (?: \s*(?P<equality>==|=|!=)\s*(?P<value>{_VALUE})
          | \s+(?P<membership>in|notin)\s*\(\s*(?P<values>{_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)
        )?
    )\s*(?P<end>,|\Z)""",
    re.VERBOSE,
)

type Selector = Callable[[Mapping[str, str]], bool]


def problems(labels: Mapping[str, str]) -> list[str]:
    """Say what is wrong with these labels; empty when they are valid."""
    found = []
    for key, value in labels.items():
        if not re.fullmatch(_KEY, key):
            found.append(f"label key {key!r} is not correctly formatted")
        if not re.fullmatch(_VALUE, value):
            found.append(f"label value {value!r} (key: {key!r}) is not correctly formatted")
    return found


def selector(text: str) -> Selector:
    """Compile `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)` and `k notin (a,b)`, joined by commas that mean "and".

    Raises ValueError for anything else. As in Kubernetes, `!=` and `notin` also match where the label is missing.
    """
    requirements: list[Selector] = []
    position, end = 0, ","
    while end == ",":
        match = _REQUIREMENT.match(text, position)
        if not match:
            raise ValueError(f"label selector {text!r} is not correctly formatted")
        requirements.append(_requirement(match))
        position, end = match.end(), match["end"]
    return lambda labels: all(holds(labels) for holds in requirements)


def _requirement(match: re.Match[str]) -> Selector:
    if match["absent"]:
        return lambda labels: match["absent_key"] not in labels
    key = match["key"]
    if match["equality"]:
        values = {match["value"]}
    elif match["membership"]:
        values = {value.strip() for value in match["values"].split(",")}
    else:
        return lambda labels: key in labels
    if match["equality"] == "!=" or match["membership"] == "notin":
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values
