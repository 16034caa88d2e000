"""What LibreChat's MongoDB keeps of a person: the documents that say at their top that they are theirs.

A collection is not named here unless it has to be. What says that it is another person's is theirs alone, whatever else
it holds. What was made for others stays as long as there are others, and forgets who made it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from parrotpark.people.databases import Rows

type Document = dict[str, Any]

DATABASE = "LibreChat"  # where an address names none
TIMEOUT_MILLISECONDS = 10_000

OWNERS = ("user", "userId")
MAKERS = frozenset({"author", "createdBy", "grantedBy", "updatedBy"})
THINGS = {
    "agents": ("_id",),
    "files": ("file_id",),
    "mcpservers": ("_id",),
    "promptgroups": ("_id",),
    "sharedlinks": ("_id",),
    "skills": ("_id",),
    "users": ("_id", "email", "openidId"),
}
"""Collections whose documents others hang on, and what those say of one; whoever is looked for begins with the last."""


@dataclass(slots=True)
class Documents:
    """One database, through pymongo. Without transactions: what is erased goes with `commit`."""

    database: Any
    erased: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The database's own."""
        return str(self.database.name)

    @property
    def lag_seconds(self) -> int:
        """It writes at once."""
        return 0

    def of(self, email: str, *known: str) -> tuple[Rows, list[str]]:
        """Return all documents of the person, and what the database calls them; `known` are names that others gave."""
        names = {email, *known}
        keys = {*map(said, names)}
        while True:
            shared = self._shared(keys)
            rows = {
                collection: found
                for collection in self._collections()
                if (found := [each for each in self.database[collection].find() if theirs(each, keys, shared)])
            }
            more = {
                said(document[field])
                for collection, fields in THINGS.items()
                for document in rows.get(collection, [])
                for field in fields
                if document.get(field)
            }
            if more <= keys:
                return rows, sorted(names | keys)
            keys |= more

    def erase(self, keys: Collection[str]) -> int:
        """Have `commit` erase what says one of the keys, and return in how many documents."""
        self.erased = frozenset(map(said, keys))
        return sum(1 for _ in self._changes())

    def mentions(self, words: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield each word with each collection where it will still stand anywhere in a document, whatever its case."""
        shared = self._shared(self.erased)
        for collection in self._collections():
            counts: Counter[str] = Counter()
            for document in self.database[collection].find():
                text = str(left(document, self.erased, shared)).lower()
                counts.update(word for word in words if word.lower() in text)
            for word, count in sorted(counts.items()):
                yield word, f"{self.name}: {collection} ({count})"

    def commit(self) -> None:
        """Erase; what names somebody goes last, so that a broken-off run leaves it to the next."""
        for collection, before, after in self._changes():
            this = {"_id": before["_id"]}
            if after is None:
                self.database[collection].delete_one(this)
            else:
                changed = {field: value for field, value in after.items() if value != before[field]}
                self.database[collection].update_one(this, {"$set": changed})

    def _changes(self) -> Iterator[tuple[str, Document, Document | None]]:
        """Yield each document that is erased or forgets, with its collection and what is left of it."""
        shared = self._shared(self.erased)
        for collection in self._collections():
            both = ((each, left(each, self.erased, shared)) for each in self.database[collection].find())
            for before, after in [(before, after) for before, after in both if before != after]:
                yield collection, before, after

    def _collections(self) -> list[str]:
        names = [name for name in self.database.list_collection_names() if not name.startswith("system.")]
        return sorted(names, key=lambda name: ([*THINGS].index(name) + 1 if name in THINGS else 0, name))

    def _shared(self, keys: Collection[str]) -> set[str]:
        """Return what others may use, too."""
        entries = self.database["aclentries"].find()
        return {said(entry["resourceId"]) for entry in entries if said(entry.get("principalId")) not in keys}


def said(value: Any) -> str:
    """Write a key as it is compared, be it a text or MongoDB's identifier."""
    return str(value).lower()


def left(document: Document, keys: Collection[str], shared: Collection[str]) -> Document | None:
    """Return a document as it is without somebody, None where that is nothing."""
    if theirs(document, keys, shared):
        return None
    return document if _owner(document) else forgotten(document, keys)


def theirs(document: Document, keys: Collection[str], shared: Collection[str]) -> bool:
    """Tell whether a document is somebody's alone."""
    if owner := _owner(document):
        return said(owner) in keys
    fields = {field for field, value in document.items() if said(value) in keys}
    if fields <= MAKERS:
        return "author" in fields and not any(said(value) in shared for value in document.values())
    return True


def forgotten(value: Any, keys: Collection[str]) -> Any:
    """Return a value without the keys, however deep: lists are shorter, and other names those of nobody."""
    if isinstance(value, dict):
        made = said(value.get("author")) in keys
        return {
            field: "" if made and field == "authorName" else forgotten(inner, keys) for field, inner in value.items()
        }
    if isinstance(value, list):
        return [forgotten(each, keys) for each in value if said(each) not in keys]
    # LibreChat fails over something without an author. A new identifier is nobody's.
    return type(value)() if said(value) in keys else value


def _owner(document: Document) -> Any:
    return next((document[field] for field in OWNERS if document.get(field)), None)


@contextmanager
def connected(uri: str) -> Iterator[Documents]:
    """Open the database at this address; what is erased goes when all that is done meanwhile has succeeded.

    Raises:
        pymongo.errors.PyMongoError: it does not answer.
    """
    from pymongo import MongoClient

    with MongoClient(uri, serverSelectionTimeoutMS=TIMEOUT_MILLISECONDS) as client:
        documents = Documents(client.get_default_database(DATABASE))
        yield documents
        documents.commit()
