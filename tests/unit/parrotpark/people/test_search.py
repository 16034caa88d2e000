"""What the search keeps of a person is deleted, with Meilisearch as far as that needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from parrotpark.people.databases import Stuck
from parrotpark.people.directory import Refused
from parrotpark.people.search import Search


class Meilisearch(BaseHTTPRequestHandler):
    """Two indexes, by the names of whom their documents are; tasks are done when they are asked for again."""

    indexes: ClassVar[dict[str, list[str]]]
    tasks: ClassVar[list[dict[str, Any]]]

    def do_GET(self) -> None:
        task = self.tasks[int(self.path.removeprefix("/tasks/"))]
        self.answer(200, {**task, "status": task.pop("first", task["status"])})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, index, *action = self.path.split("/")
        assert action == ["documents", "delete"]
        field, people = asked["filter"].split(" IN ")
        assert field == "user"
        self.tasks.append({"first": "processing", **self.delete(index, json.loads(people))})
        self.answer(202, {"taskUid": len(self.tasks) - 1, "status": "enqueued"})

    def delete(self, index: str, people: list[str]) -> dict[str, Any]:
        if index not in self.indexes:
            return {"status": "failed", "error": {"code": "index_not_found", "message": f"Index {index} not found."}}
        if index == "broken":
            return {"status": "failed", "error": {"code": "internal", "message": "No space left."}}
        before = self.indexes[index]
        self.indexes[index] = [name for name in before if name not in people]
        deleted = len(before) - len(self.indexes[index])
        return {"status": "succeeded", "error": None, "details": {"deletedDocuments": deleted}}

    def answer(self, status: int, content: object) -> None:
        self.send_response(status if self.headers["Authorization"] == "Bearer master" else 403)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    monkeypatch.setattr("parrotpark.people.search.POLL_SECONDS", 0.001)
    Meilisearch.indexes, Meilisearch.tasks = {"convos": ["ada", "bob"], "messages": ["ada", "bob", "ada"]}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Meilisearch) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Search(f"http://127.0.0.1:{server.server_port}", "master")
        server.shutdown()


def test_what_is_theirs_goes_and_is_waited_for(search: Search) -> None:
    assert search.erase(["ada", 'o"ddly@example.org']) == 3
    assert Meilisearch.indexes == {"convos": ["bob"], "messages": ["bob"]}
    assert search.erase(["ada"]) == 0


def test_it_knows_no_names_but_those_of_others(search: Search) -> None:
    assert search.of("ada@example.org", "ada") == ({}, ["ada", "ada@example.org"])


def test_an_index_that_nobody_has_needed_yet_is_empty(search: Search) -> None:
    del Meilisearch.indexes["convos"]
    assert search.erase(["ada"]) == 2


def test_what_was_not_deleted_is_told(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parrotpark.people.search.INDEXES", ["broken"])
    Meilisearch.indexes["broken"] = []
    with pytest.raises(Stuck, match=r"search: No space left\."):
        search.erase(["ada"])


def test_what_takes_too_long_is_told(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parrotpark.people.search.TASK_SECONDS", 0)
    with pytest.raises(Stuck, match="nothing was deleted within 0 s"):
        search.erase(["ada"])


def test_a_key_that_it_does_not_know_is_told(search: Search) -> None:
    with pytest.raises(Refused, match="the search refuses /indexes/convos/documents/delete: 403"):
        Search(search.url, "other").erase(["ada"])


def test_that_it_is_not_there_is_told() -> None:
    with pytest.raises(Refused, match="the search does not answer"):
        Search("http://127.0.0.1:1", "master").erase(["ada"])
