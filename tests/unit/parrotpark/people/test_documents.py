"""What LibreChat's database keeps of a person, in collections in memory: theirs goes, and nobody else's changes."""

from __future__ import annotations

import copy
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Any
from uuid import uuid4

import pytest

from parrotpark.people import documents
from parrotpark.people.cli import stores
from parrotpark.people.documents import Documents

ADA, BOB = "ada@example.org", "bob@example.org"
URI = "mongodb://chat:secret@127.0.0.1/LibreChat"


class Id:
    """MongoDB's identifier, of which bson makes a new one where none is given."""

    def __init__(self, text: str = "") -> None:
        self.text = text or uuid4().hex[:24]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"ObjectId({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Id) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Broken(Exception):
    """The database has gone away."""


@dataclass
class Documented:
    """A collection, as its client shows it."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    breaks: bool = False

    def find(self) -> Iterator[dict[str, Any]]:
        yield from copy.deepcopy(self.documents)

    def delete_one(self, query: dict[str, Any]) -> None:
        if self.breaks:
            raise Broken
        self.documents.remove(self._one(query))

    def update_one(self, query: dict[str, Any], change: dict[str, Any]) -> None:
        self._one(query).update(change["$set"])

    def _one(self, query: dict[str, Any]) -> dict[str, Any]:
        return next(each for each in self.documents if query.items() <= each.items())


class Mongo(defaultdict[str, Documented]):
    """A database of such collections."""

    name = "LibreChat"

    def list_collection_names(self) -> list[str]:
        return [*self]

    def put(self, collection: str, **fields: Any) -> dict[str, Any]:
        document = {"_id": Id(), **fields}
        self[collection].documents.append(document)
        return document

    def kept(self, collection: str) -> list[dict[str, Any]]:
        return self[collection].documents


@pytest.fixture
def mongo() -> Mongo:
    mongo = Mongo(Documented)
    for name, email in (("ada", ADA), ("bob", BOB)):
        user = mongo.put("users", email=email, openidId=f"keycloak-{name}", name=name)["_id"]
        mongo.put("conversations", user=str(user), conversationId=f"chat-{name}", files=[f"file-{name}"])
        mongo.put("messages", user=str(user), conversationId=f"chat-{name}", text=f"secret of {name}")
        mongo.put("files", user=user, file_id=f"file-{name}")
        mongo.put("memoryentries", userId=user, value="likes tea")
    mongo.put("system.views", user=ADA)
    return mongo


@pytest.fixture
def ada(mongo: Mongo) -> Id:
    identifier = mongo.kept("users")[0]["_id"]
    assert isinstance(identifier, Id)
    return identifier


@pytest.fixture
def bob(mongo: Mongo) -> Id:
    identifier = mongo.kept("users")[1]["_id"]
    assert isinstance(identifier, Id)
    return identifier


def erase(mongo: Mongo, email: str = ADA, *known: str) -> list[tuple[str, str]]:
    store = Documents(mongo)
    _, keys = store.of(email, *known)
    store.erase(keys)
    mentioned = [*store.mentions(keys)]
    store.commit()
    return mentioned


@pytest.mark.parametrize("email", [ADA, ADA.upper()])
def test_all_that_is_theirs_is_found_by_their_address(mongo: Mongo, ada: Id, email: str) -> None:
    rows, keys = Documents(mongo).of(email)
    assert {name: len(found) for name, found in rows.items()} == {
        "conversations": 1,
        "files": 1,
        "memoryentries": 1,
        "messages": 1,
        "users": 1,
    }
    assert set(keys) == {email, ADA, str(ada), "keycloak-ada", "file-ada"}


def test_whoever_has_another_address_now_is_found_by_what_the_sign_on_calls_them(mongo: Mongo) -> None:
    rows, keys = Documents(mongo).of("lovelace@example.org", "keycloak-ada")
    assert [user["email"] for user in rows["users"]] == [ADA]
    assert ADA in keys


def test_nothing_of_theirs_is_left_and_nobody_elses_changes(mongo: Mongo, ada: Id) -> None:
    before = copy.deepcopy({name: mongo.kept(name)[1:] for name in mongo if not name.startswith("system.")})
    erase(mongo)
    assert {name: mongo.kept(name) for name in before} == before
    assert str(ada) not in str([mongo.kept(name) for name in before])


def test_nothing_goes_before_all_else_has_gone(mongo: Mongo) -> None:
    before = copy.deepcopy({name: mongo.kept(name) for name in mongo})
    store = Documents(mongo)
    assert store.erase(store.of(ADA)[1]) == 5
    assert {name: mongo.kept(name) for name in before} == before


def test_what_another_person_says_is_theirs_even_if_it_is_an_address(mongo: Mongo, bob: Id) -> None:
    message = mongo.put("messages", user=str(bob), text=ADA, quotes=[ADA])
    assert erase(mongo) == [(ADA, "LibreChat: messages (1)")]
    assert message["text"] == ADA
    assert message["quotes"] == [ADA]


def test_a_group_only_loses_a_member(mongo: Mongo, ada: Id, bob: Id) -> None:
    group = mongo.put("groups", name="staff", memberIds=[str(ada), str(bob)])
    assert erase(mongo) == []
    assert mongo.kept("groups") == [group]
    assert group["memberIds"] == [str(bob)]


def test_what_they_made_for_themselves_goes_with_what_hangs_on_it(mongo: Mongo, ada: Id) -> None:
    agent = mongo.put("agents", id="agent_1", author=ada)
    prompts = mongo.put("promptgroups", author=ada)
    mongo.put("prompts", groupId=prompts["_id"], author=ada, prompt="secret")
    for thing in (agent, prompts):
        mongo.put("aclentries", principalType="user", principalId=ada, resourceId=thing["_id"], grantedBy=ada)
    erase(mongo)
    for collection in ("agents", "promptgroups", "prompts", "aclentries"):
        assert mongo.kept(collection) == []


@pytest.mark.parametrize("others", [{"principalType": "public"}, {"principalType": "role", "principalId": "USER"}])
def test_what_others_may_use_stays_and_forgets_who_made_it(mongo: Mongo, ada: Id, others: dict[str, str]) -> None:
    version = {"author": ada, "authorName": "Ada", "support_contact": {"email": ADA}}
    agent = mongo.put("agents", id="agent_1", **version, versions=[version])
    prompts = mongo.put("promptgroups", author=ada, authorName="Ada")
    prompt = mongo.put("prompts", groupId=prompts["_id"], author=ada, prompt="for all")
    for thing in (agent, prompts):
        mongo.put("aclentries", principalType="user", principalId=ada, resourceId=thing["_id"], grantedBy=ada)
        mongo.put("aclentries", resourceId=thing["_id"], grantedBy=ada, **others)
    assert erase(mongo) == []
    assert (mongo.kept("agents"), mongo.kept("prompts")) == ([agent], [prompt])
    assert [entry["principalType"] for entry in mongo.kept("aclentries")] == [others["principalType"]] * 2
    left = str([mongo.kept(name) for name in ("agents", "promptgroups", "prompts", "aclentries")])
    assert [word for word in (str(ada), ADA, "Ada") if word in left] == []
    # LibreChat asks each for its author's identifier.
    assert isinstance(agent["author"], Id)


def test_anothers_agent_loses_their_file(mongo: Mongo, bob: Id) -> None:
    agent = mongo.put("agents", author=bob, tool_resources={"file_search": {"file_ids": ["file-ada", "file-bob"]}})
    erase(mongo)
    assert agent["tool_resources"] == {"file_search": {"file_ids": ["file-bob"]}}
    assert agent["author"] == bob


@pytest.mark.parametrize("breaks", ["messages", "wishes", "files", "users"])
def test_an_erasure_that_broke_off_is_finished_by_the_next(mongo: Mongo, ada: Id, breaks: str) -> None:
    mongo.put("wishes", user=ada)
    mongo[breaks].breaks = True
    with pytest.raises(Broken):
        erase(mongo)
    mongo[breaks].breaks = False
    assert [user["email"] for user in mongo.kept("users")] == [ADA, BOB]
    erase(mongo)
    kept = [mongo.kept(name) for name in mongo if not name.startswith("system.")]
    assert str(ada) not in str(kept)


@pytest.fixture
def served(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a client that finds the database; returns the addresses that it was given."""
    addresses: list[str] = []

    class MongoClient:
        def __init__(self, uri: str, **_: Any) -> None:
            addresses.append(uri)

        def __enter__(self) -> MongoClient:
            return self

        def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
            """Keep nothing open."""

        def get_default_database(self, name: str) -> Mongo:
            assert name == mongo.name
            return mongo

    monkeypatch.setitem(sys.modules, "pymongo", SimpleNamespace(MongoClient=MongoClient))
    return addresses


def test_it_goes_once_everything_else_succeeded(mongo: Mongo, served: list[str]) -> None:
    with documents.connected(URI) as store:
        store.erase(store.of(ADA)[1])
    assert [user["email"] for user in mongo.kept("users")] == [BOB]
    assert served == [URI]


@pytest.mark.usefixtures("served")
def test_it_stays_where_something_else_failed(mongo: Mongo) -> None:
    def fail(store: Documents) -> None:
        store.erase(store.of(ADA)[1])
        raise Broken

    with pytest.raises(Broken), documents.connected(URI) as store:
        fail(store)
    assert len(mongo.kept("messages")) == 2


@pytest.mark.usefixtures("served")
def test_librechat_is_asked_before_those_that_it_knows_names_for() -> None:
    librechat = {"mongodb": URI, "search": "http://127.0.0.1:7700", "search_key": "k", "data": ""}
    first, second, third = stores({"librechat": librechat, "databases": {"librechat": "secret"}})
    with first as documented, second as search:
        assert [documented.name, search.name] == ["LibreChat", "search"]
    assert third is not None


def test_without_librechat_only_databases_are_asked() -> None:
    librechat = {"mongodb": "", "search": "", "search_key": "", "data": ""}
    assert len([*stores({"librechat": librechat, "databases": {"keycloak": "secret"}})]) == 1
