"""What Meilisearch keeps of a person: copies of what LibreChat's MongoDB has, found by the identifiers that it has."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parrotpark.people.api import ask
from parrotpark.people.databases import Rows, Stuck

POLL_SECONDS = 0.2
TASK_SECONDS = 600

INDEXES = ("convos", "messages")
UNKNOWN = "index_not_found"  # nobody has said anything yet


@dataclass(frozen=True, slots=True)
class Search:
    """Meilisearch's API for whoever has its master key."""

    url: str
    key: str = field(repr=False)
    name: str = "search"
    lag_seconds: int = 0  # it does one thing after the other, so what came before is erased, too

    def of(self, email: str, *known: str) -> tuple[Rows, list[str]]:
        """Return nothing but the names: MongoDB has all of it."""
        return {}, sorted({email, *known})

    def erase(self, keys: Collection[str]) -> int:
        """Delete what says that it is of one of the keys, and return how much.

        Raises:
            Refused: Meilisearch does not answer.
            Stuck: it answers that it did not do it.
        """
        asked = {"filter": f"user IN {json.dumps(sorted(keys), ensure_ascii=False)}"}
        tasks = [self._call(f"/indexes/{index}/documents/delete", asked)["taskUid"] for index in INDEXES]
        return sum(map(self._deleted, tasks))

    def mentions(self, words: Collection[str]) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - as others do
        """Yield nothing: MongoDB tells of it."""
        yield from ()

    def _deleted(self, task: int) -> int:
        for _ in range(int(TASK_SECONDS / POLL_SECONDS)):
            state = self._call(f"/tasks/{task}")
            if state["status"] == "succeeded":
                return int(state["details"]["deletedDocuments"])
            if error := state.get("error"):
                if error["code"] == UNKNOWN:
                    return 0
                raise Stuck(f"{self.name}: {error['message']}")
            time.sleep(POLL_SECONDS)
        raise Stuck(f"{self.name}: nothing was deleted within {TASK_SECONDS} s; see `make logs UNIT=librechat-search`")

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return ask("the search", "librechat-search", self.url + path, self.key, body)
