"""What is kept of a person, in stores in memory: all of it is exported, and all of it goes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from parrotpark.people.directory import Directory, Refused
from parrotpark.people.records import Records
from parrotpark.people.uploads import Bucket, Folder, Tree, Uploads, within
from tests.unit.parrotpark.people.test_directory import ADA, Realm


@dataclass
class Table:
    """A database of one table, whose rows say whose they are."""

    name: str
    lag_seconds: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def of(self, email: str, *known: str) -> tuple[dict[str, Any], list[str]]:
        keys = [email, *known, f"{self.name}-{email}"]
        found = [row for row in self.rows if row["user_id"] in keys]
        return ({"file": found} if found else {}), keys

    def erase(self, keys: Collection[str]) -> int:
        left = [row for row in self.rows if row["user_id"] not in keys]
        gone, self.rows = len(self.rows) - len(left), left
        return gone

    def mentions(self, words: Collection[str]) -> Iterator[tuple[str, str]]:
        yield from ((word, f"{self.name}: file") for word in words for row in self.rows if word in json.dumps(row))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1_letter.txt", "2_letter.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.fixture
def records(folder: Path) -> Records:
    realm = Realm()
    directory = Directory(realm.call)
    directory.invite(ADA, "Ada", ["staff"])
    chat = Table(
        "chat",
        rows=[
            {"id": "1", "user_id": f"chat-{ADA}", "path": "/app/uploads/1_letter.txt", "filename": "../letter.txt"},
            {
                "id": "2",
                "user_id": "chat-bob",
                "path": "/app/uploads/2_letter.txt",
                "filename": "b",
                "text": f"to {ADA}",
            },
        ],
    )
    spend = Table("spend", 30, [{"id": "3", "user_id": "id-0"}, {"id": "4", "user_id": f"chat-{ADA}"}])
    return Records(directory, [chat, spend], Folder(folder))


def test_an_export_holds_rows_and_files(records: Records) -> None:
    archive = io.BytesIO()
    said = [*records.export(ADA, archive)]
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        assert opened.getnames() == ["chat/file.json", "files/1/letter.txt", "spend/file.json"]
        assert json.load(opened.extractfile("chat/file.json") or io.BytesIO())[0]["id"] == "1"
    assert said == ["chat: 1 rows", "files: 1", "spend: 2 rows", "files: 0"]


def test_an_erasure_takes_what_is_theirs_and_tells_who_mentions_them(records: Records, folder: Path) -> None:
    said = [*records.erase(ADA, at_once=True)]
    assert said[:3] == [f"sign-on: {ADA} is gone", "chat: 1 rows are gone", "spend: 2 rows are gone"]
    assert said[3:] == [f"somebody else's data still mention {ADA}: chat: file"]
    assert [path.name for path in folder.iterdir()] == ["2_letter.txt"]


def test_what_they_did_last_is_waited_for(records: Records, slept: list[float]) -> None:
    said = [*records.erase(ADA)]
    assert said[2] == "spend: waiting 30 s until it has written what they did last"
    assert slept == [30]


def test_an_erasure_that_broke_off_is_finished_by_the_next(records: Records) -> None:
    assert records.directory
    records.directory.delete(records.directory.get(ADA))
    assert next(records.erase(ADA)) == "chat: 1 rows are gone"


def test_nobody_is_exported_in_words(records: Records) -> None:
    with pytest.raises(Refused, match=r"there is no bob@example\.org"):
        [*records.export("bob@example.org", io.BytesIO())]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A folder with those of people in it, as LibreChat keeps files."""
    root = tmp_path / "librechat"
    for name in (f"images/chat-{ADA}/a.png", f"uploads/chat-{ADA}/a.txt", "uploads/chat-bob/b.txt", f"uploads/{ADA}"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return Tree(root)


def in_folders(records: Records, folder: Uploads) -> Records:
    return Records(records.directory, records.databases, records.uploads, [folder])


def test_an_export_holds_what_lies_in_their_folders(records: Records, tree: Tree) -> None:
    archive = io.BytesIO()
    said = [*in_folders(records, tree).export(ADA, archive)]
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        names = [name for name in opened.getnames() if "chat-" in name]
        assert names == [f"files/images/chat-{ADA}/a.png", f"files/uploads/chat-{ADA}/a.txt"]
        content = opened.extractfile(names[1])
        assert content is not None
        assert content.read() == f"uploads/chat-{ADA}/a.txt".encode()
    assert said[-1] == "files: 2"


def test_an_erasure_takes_their_folders(records: Records, tree: Tree) -> None:
    said = [*in_folders(records, tree).erase(ADA, at_once=True)]
    assert "files: 2 are gone" in said
    # Bob's file stays, whatever he called it, and so does one that lies in nobody's folder.
    left = sorted(str(path.relative_to(tree.folder)) for path in tree.folder.rglob("*"))
    assert left == ["images", "uploads", f"uploads/{ADA}", "uploads/chat-bob", "uploads/chat-bob/b.txt"]


def test_a_file_lies_below_files_whatever_it_is_called(records: Records) -> None:
    class Odd(Folder):
        def of(self, keys: Collection[str]) -> Iterator[str]:
            yield from (path for path in [f"s3://chat/uploads/chat-{ADA}/../../x", "/y"] if keys)

    archive = io.BytesIO()
    [*in_folders(records, Odd(Path("/nowhere"))).export(ADA, archive)]
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        assert opened.getnames()[-2:] == [f"files/chat/uploads/chat-{ADA}/x", "files/y"]


@pytest.mark.parametrize(
    ("path", "is_theirs"),
    [
        ("uploads/7/a", True),
        ("r/eu/t/x/images/7/a", True),
        ("uploads/77/a", False),
        ("uploads/8/7", False),
        ("7", False),
    ],
)
def test_a_file_is_whose_name_one_of_its_folders_has(path: str, is_theirs: bool) -> None:
    assert within(path, {"7"}) is is_theirs


class Objects:
    """A client of a bucket in memory."""

    class exceptions:  # noqa: N801 - boto3's name
        NoSuchKey = KeyError

    def __init__(self) -> None:
        self.kept = {"chat/1_letter.txt": b"kept"}

    def get_paginator(self, name: str) -> Objects:
        assert name == "list_objects_v2"
        return self

    def paginate(self, Bucket: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's name
        yield from ({"Contents": [{"Key": key.removeprefix(f"{Bucket}/")}]} for key in self.kept)
        yield {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Body": io.BytesIO(self.kept[f"{Bucket}/{Key}"])}

    def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: N803
        del self.kept[f"{Bucket}/{Key}"]


def test_a_bucket_is_asked_for_what_is_in_it_and_the_folder_for_the_rest(folder: Path) -> None:
    objects = Objects()
    bucket = Bucket(objects, "chat", Folder(folder))
    assert bucket.read("s3://chat/1_letter.txt") == b"kept"
    assert bucket.read("s3://chat/gone") is None
    assert bucket.read("/app/uploads/2_letter.txt") == b"2_letter.txt"
    bucket.delete("s3://chat/1_letter.txt")
    bucket.delete("/app/uploads/2_letter.txt")
    assert objects.kept == {}
    assert [path.name for path in folder.iterdir()] == ["1_letter.txt"]


def test_a_bucket_and_the_folder_are_searched_for_their_folders(tree: Tree) -> None:
    objects = Objects()
    objects.kept = {f"chat/uploads/chat-{ADA}/c.txt": b"c", "chat/uploads/chat-bob/c.txt": b"d"}
    bucket = Bucket(objects, "chat", tree)
    paths = [*bucket.of({f"chat-{ADA}"})]
    assert paths == [
        f"s3://chat/uploads/chat-{ADA}/c.txt",
        f"images/chat-{ADA}/a.png",
        f"uploads/chat-{ADA}/a.txt",
    ]
    assert [bucket.read(path) for path in paths[:2]] == [b"c", f"images/chat-{ADA}/a.png".encode()]
    for path in paths:
        bucket.delete(path)
    assert [*bucket.of({f"chat-{ADA}"})] == []
    assert [*objects.kept] == ["chat/uploads/chat-bob/c.txt"]
