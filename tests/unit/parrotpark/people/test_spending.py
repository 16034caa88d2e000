"""Who may spend what, and what is said of it, with a gateway in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from parrotpark.people.cli import assign, listed
from parrotpark.people.directory import Directory, Person, Refused
from parrotpark.people.spending import Budgets, Gateway
from tests.unit.parrotpark.people.test_directory import ADA, Realm

BUDGETS = Budgets({"everybody": 20.0, "guests": 1.0, "staff": 30.0}, "everybody")


class LiteLLM(BaseHTTPRequestHandler):
    """As much of its API as budgets need."""

    customers: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        self.answer([*self.customers.values()])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = body["user_id"] in self.customers
        if known is not self.path.endswith("update"):
            self.send_error(400)
            return
        self.customers[body["user_id"]] = {"spend": 0.0, **self.customers.get(body["user_id"], {}), **body}
        self.answer({})

    def answer(self, content: object) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer sk-master" else 401)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    LiteLLM.customers = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), LiteLLM) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Gateway(f"http://127.0.0.1:{server.server_port}", "sk-master")
        server.shutdown()


@pytest.fixture
def realm() -> Realm:
    return Realm()


@pytest.mark.parametrize(
    ("groups", "budget"),
    [([], "everybody"), (["other"], "everybody"), (["guests"], "guests"), (["guests", "staff"], "staff")],
)
def test_the_largest_budget_of_the_groups_is_theirs(groups: list[str], budget: str) -> None:
    assert BUDGETS.of(Person("1", ADA, "Ada", tuple(groups), enabled=True)) == budget


def test_budgets_follow_from_groups_and_are_assigned_once(realm: Realm, gateway: Gateway) -> None:
    directory = Directory(realm.call)
    directory.invite(ADA, "Ada", ["administrators"])
    directory.invite("Bob@example.org", "Bob", ["staff"])
    assert [*assign(directory, gateway, BUDGETS)] == ["bob@example.org has the budget of staff now"]
    assert [*assign(directory, gateway, BUDGETS)] == []
    realm.members["staff"].clear()
    assert [*assign(directory, gateway, BUDGETS)] == ["bob@example.org has the budget of everybody now"]
    LiteLLM.customers[ADA] = {"user_id": ADA, "budget_id": None, "spend": 1.0}  # who has asked, and was given nothing
    assert [*assign(directory, gateway, BUDGETS)] == []


def test_people_are_shown_with_what_they_have_spent_and_when_they_came(realm: Realm, gateway: Gateway) -> None:
    directory = Directory(realm.call)
    directory.invite(ADA, "Ada", ["staff"])
    directory.invite("bob@example.org", "Bob", ["administrators"])
    realm.signed_in.add("id-0")
    LiteLLM.customers[ADA] = {"user_id": ADA, "budget_id": "staff", "spend": 1.255}
    assert [*listed(directory, gateway, BUDGETS)] == [
        f"{ADA}  Ada  staff  spent 1.25 of 30.00  last signed in 2025-11-26",
        "bob@example.org  Bob  administrators  spent 0.00 of 20.00  no sign-in on record",
    ]


def test_without_the_gateway_people_are_shown_and_no_budget_is_assigned(realm: Realm) -> None:
    directory, nobody = Directory(realm.call), Gateway("http://127.0.0.1:1", "sk-master")
    directory.invite(ADA, "Ada", ["staff"])
    first, second = listed(directory, nobody, BUDGETS)
    assert first.startswith("what was spent is unknown: the gateway does not answer")
    assert second == f"{ADA}  Ada  staff  no sign-in on record"
    with pytest.raises(Refused, match="does not answer"):
        [*assign(directory, nobody, BUDGETS)]


def test_a_wrong_key_is_told(gateway: Gateway) -> None:
    with pytest.raises(Refused, match="refuses /customer/list: 401"):
        Gateway(gateway.url, "sk-wrong").customers()
