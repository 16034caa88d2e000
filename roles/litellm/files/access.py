"""Keep LiteLLM's budgets, teams and virtual keys as declared, through its API.

Reads the declaration as JSON from standard input and prints one line for each thing changed, or with `--check` for each
thing a run would change. Keys made here carry a mark: what is no longer declared is deleted, one made by hand stays.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

MARK = {"managed_by": "ansible"}
PAGE = 100  # the most keys LiteLLM lists at once
TIMEOUT_SECONDS = 60

Item = Mapping[str, Any]


class AccessError(Exception):
    """LiteLLM refused a change; the message is one line."""


@dataclass(frozen=True, slots=True)
class Change:
    """One call of the API, and what it does in words."""

    words: str
    path: str
    body: Item


def limits(declared: Item) -> dict[str, Any]:
    """What a team or a key may use; every setting is named, so that one no longer declared is taken back."""
    return {
        "models": declared.get("models") or [],
        "max_budget": declared.get("max_budget"),
        "budget_duration": declared.get("budget_duration"),
    }


def differs(actual: Item, wanted: Item) -> bool:
    return any((actual.get(name) or None) != (value or None) for name, value in wanted.items() if name != "metadata")


def budget_changes(declared: Sequence[Item], actual: Sequence[Item]) -> Iterator[Change]:
    known = {budget["budget_id"]: budget for budget in actual}
    for budget in declared:
        wanted = {name: budget[name] for name in ("max_budget", "budget_duration")}
        body = {"budget_id": budget["id"], **wanted}
        if budget["id"] not in known:
            yield Change(f"budget {budget['id']}: made", "/budget/new", body)
        elif differs(known[budget["id"]], wanted):
            yield Change(f"budget {budget['id']}: changed", "/budget/update", body)


def team_changes(declared: Sequence[Item], actual: Sequence[Item]) -> Iterator[Change]:
    known = {team["team_id"]: team for team in actual}
    for team in declared:
        alias = team["alias"]
        wanted = {"team_alias": alias, **limits(team)}
        if alias not in known:
            yield Change(f"team {alias}: made", "/team/new", {"team_id": alias, **wanted})
        elif differs(known[alias], wanted):
            yield Change(f"team {alias}: changed", "/team/update", {"team_id": alias, **wanted})


def key_changes(declared: Sequence[Item], actual: Sequence[Item]) -> Iterator[Change]:
    """LiteLLM stores the hash of a key only: another hash under an alias is another key, and takes its place."""
    known = {key["key_alias"]: key for key in actual}
    for key in declared:
        alias, token = key["alias"], hashlib.sha256(key["key"].encode()).hexdigest()
        wanted = {"key_alias": alias, "team_id": key.get("team"), **limits(key), "metadata": MARK}
        found = known.get(alias)
        if found is not None and found["token"] != token:
            yield Change(f"key {alias}: replaced", "/key/delete", {"keys": [found["token"]]})
        if found is None or found["token"] != token:
            yield Change(f"key {alias}: made", "/key/generate", {"key": key["key"], **wanted})
        elif differs(found, wanted) or not marked(found):
            yield Change(f"key {alias}: changed", "/key/update", {"key": token, **wanted})
    names = {key["alias"] for key in declared}
    for alias, key in known.items():
        if alias not in names and marked(key):
            yield Change(f"key {alias}: deleted", "/key/delete", {"keys": [key["token"]]})


def marked(key: Item) -> bool:
    return (key.get("metadata") or {}).get("managed_by") == MARK["managed_by"]


@dataclass(frozen=True, slots=True)
class Api:
    address: str  # host:port
    master_key: str = field(repr=False)

    def call(self, path: str, body: Item | None = None) -> Any:
        """GET, or POST where there is a body. Raises AccessError, and OSError where nobody answers."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request(
                "GET" if body is None else "POST",
                path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {self.master_key}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer = response.read()
        if response.status != HTTPStatus.OK:
            raise AccessError(f"{path}: {response.status} {answer.decode(errors='replace')[:500]}")
        return json.loads(answer)

    def budgets(self) -> list[Item]:
        return list(self.call("/budget/list"))

    def teams(self) -> list[Item]:
        return list(self.call("/team/list"))

    def keys(self) -> list[Item]:
        found: list[Item] = []
        while True:
            page = self.call(f"/key/list?return_full_object=true&size={PAGE}&page={len(found) // PAGE + 1}")
            found += page["keys"]
            if len(page["keys"]) < PAGE:
                return found


def keep(api: Api, declared: Mapping[str, Sequence[Item]], *, check: bool) -> None:
    """Teams first: a key may belong to one that is new."""
    for change in budget_changes(declared["budgets"], api.budgets()):
        carry_out(api, change, check=check)
    for change in team_changes(declared["teams"], api.teams()):
        carry_out(api, change, check=check)
    for change in key_changes(declared["keys"], api.keys()):
        carry_out(api, change, check=check)


def carry_out(api: Api, change: Change, *, check: bool) -> None:
    if not check:
        api.call(change.path, change.body)
    print(change.words)


def read_environment(file: Path) -> dict[str, str]:
    """Read NAME=value lines. The role that writes them refuses values that would need quotes."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--address", required=True, help="where LiteLLM listens, as host:port")
    parser.add_argument("--environment", type=Path, required=True, help="file that holds LITELLM_MASTER_KEY")
    parser.add_argument("--check", action="store_true", help="name what differs and change nothing")
    arguments = parser.parse_args()
    api = Api(arguments.address, read_environment(arguments.environment)["LITELLM_MASTER_KEY"])
    try:
        keep(api, json.load(sys.stdin), check=arguments.check)
    except AccessError as error:
        sys.exit(f"LiteLLM refused {error}")
    except OSError as error:
        if not arguments.check:
            sys.exit(f"LiteLLM does not answer at {arguments.address}: {error}")
        print(f"LiteLLM does not answer, so what is declared was not compared: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
