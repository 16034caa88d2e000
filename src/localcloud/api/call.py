"""One API call as a handler sees it: who calls, for what, with which fields, and the ways to answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import QueryParams

from localcloud.api.errors import ApiError, invalid, not_found, not_unique
from localcloud.core.actions import Actions, LockedError
from localcloud.core.backend import Backend
from localcloud.core.labels import problems, selector
from localcloud.core.model import Action, Labels, Resource
from localcloud.core.store import State, Store

type Json = dict[str, Any]
type Reply = tuple[int, Json | None]  # HTTP status and body
type Handler = Callable[["Call"], Reply]

_IN_PATH = object()
# What lists can be sorted by: fields that have an order in every resource that has them.
_ORDERS = ("id", "name", "created", "command", "status", "progress", "started", "finished")
_PER_PAGE = 25
_MOST_PER_PAGE = 50


class Named(Protocol):
    """What clients may name by its id or by its name."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Call:
    project: str
    ids: Mapping[str, int]  # the numbers in the path
    query: QueryParams
    body: Json
    store: Store
    backend: Backend
    actions: Actions

    @property
    def state(self) -> State:
        return self.store.state

    @property
    def id(self) -> int:
        return self.ids["id"]

    def own[R: Resource](self, table: Mapping[int, R], id_: object = _IN_PATH, what: str = "resource") -> R:
        """The project's resource with that id, by default the one in the path; raises `not_found`."""
        wanted = self.id if id_ is _IN_PATH else id_
        if isinstance(wanted, list | dict):  # no use in repeating all of it
            raise invalid(what, "is named by its ID")
        resource = table.get(wanted) if isinstance(wanted, int) else None
        if resource is None or resource.project != self.project:
            raise not_found(f"{what} with ID '{wanted}'")
        return resource

    def all_own[R: Resource](self, table: Mapping[int, R]) -> list[R]:
        return [resource for resource in table.values() if resource.project == self.project]

    def refuse_taken_name(self, table: Mapping[int, Resource], name: str, *, but: int | None = None) -> None:
        """Raise `uniqueness_error` if another resource of the project has the name."""
        if any(each.name == name and each.id != but for each in self.all_own(table)):
            raise not_unique("name", f"name is already used: {name}")

    def refuse_if_locked(self, kind: str, id_: int) -> None:
        """Raise LockedError if an action is running on the resource."""
        if busy := self.state.busy(kind, id_):
            raise LockedError(kind, id_, busy)

    # Fields of the body. Each raises `invalid_input` that names the field.

    def text(self, field: str, default: str | None = None, *, pattern: str = r"(?s).+", at_most: int = 2**15) -> str:
        value = default if self.body.get(field) is None else self.body[field]
        if not isinstance(value, str):
            raise invalid(field, "is required and is a string")
        if value != default and (len(value) > at_most or not re.fullmatch(pattern, value)):
            raise invalid(field, f"is not correctly formatted or longer than {at_most} characters")
        return value

    def flag(self, field: str, default: bool) -> bool:
        value = self.body.get(field)
        if not isinstance(value, bool | None):
            raise invalid(field, "is a boolean")
        return default if value is None else value

    def number(self, field: str, *, at_least: int = 1, at_most: int = 2**53) -> int:
        value = self.body.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
            raise invalid(field, f"is an integer from {at_least} to {at_most}")
        return value

    def sequence(self, field: str) -> Sequence[Any]:
        value = self.body.get(field)
        if not isinstance(value, list | None):
            raise invalid(field, "is an array")
        return value or []

    def labels(self, default: Labels | None = None) -> Labels:
        value = self.body.get("labels")
        if value is None:
            return default or {}
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise invalid("labels", "is an object of strings")
        if wrong := problems(value):
            raise invalid("labels", *wrong)
        return value

    # Answers.

    def gone_after(self, action: Action) -> Reply:
        """Run a deletion whose client does not wait for actions; raises `unavailable`."""
        if error := self.actions.run(action).error:
            raise ApiError(503, "unavailable", error[1])
        return 204, None

    def listing[T](self, key: str, items: Iterable[T], view: Callable[[T], Json]) -> Reply:
        """Filter, sort and page what `view` makes of the items, as the query of every list asks."""
        rows = [view(item) for item in items]
        for field in ("name", "status", "type", "architecture", "fingerprint", "ip", "bound_to"):
            if wanted := self.query.getlist(field):
                rows = [row for row in rows if row.get(field) in wanted]
        if text := self.query.get("label_selector"):
            try:
                matches = selector(text)
            except ValueError as error:
                raise invalid("label_selector", str(error)) from None
            rows = [row for row in rows if "labels" not in row or matches(row["labels"])]
        for order in reversed(self.query.getlist("sort")):
            field, _, direction = order.partition(":")
            if direction not in ("", "asc", "desc") or not all(field in _ORDERS and field in row for row in rows):
                raise invalid("sort", f"cannot sort by {order!r}")
            rows.sort(key=lambda row: (row[field] is not None, row[field]), reverse=direction == "desc")
        return self._page(key, rows)

    def _page(self, key: str, rows: Sequence[Json]) -> Reply:
        page = self._count("page", 1)
        per_page = min(self._count("per_page", _PER_PAGE), _MOST_PER_PAGE)
        last = max(1, -(-len(rows) // per_page))
        pagination = {
            "page": page,
            "per_page": per_page,
            "previous_page": page - 1 if page > 1 else None,
            "next_page": page + 1 if page < last else None,
            "last_page": last,
            "total_entries": len(rows),
        }
        return 200, {key: rows[(page - 1) * per_page : page * per_page], "meta": {"pagination": pagination}}

    def _count(self, field: str, default: int) -> int:
        text = self.query.get(field, str(default))
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
            raise invalid(field, "is a positive integer")
        return int(text)


def chosen[T: Named](items: Iterable[T], id_or_name: object, what: str) -> T:
    """Find the item that a client names by its id (a number or digits) or by its name; raises `not_found`."""
    if isinstance(id_or_name, bool) or not isinstance(id_or_name, int | str):
        raise invalid(what, "is the ID or name of one")
    for item in items:
        if str(id_or_name) in (str(item.id), item.name):
            return item
    raise not_found(f"{what} '{id_or_name}'")
