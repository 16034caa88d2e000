"""All that is kept of one person, in every store: exported as one archive, erased, and looked for afterwards."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from parrotpark.people.databases import Store
from parrotpark.people.directory import Directory, mail_address
from parrotpark.people.uploads import S3, Uploads

FILES = "file"  # the chat's table of uploads


@dataclass(frozen=True, slots=True)
class Records:
    """The stores: sign-on unless it is of others, databases, uploads that a database names, and folders of people."""

    directory: Directory | None
    databases: Sequence[Store]
    uploads: Uploads
    folders: Sequence[Uploads] = ()

    def export(self, email: str, to: BinaryIO) -> Iterator[str]:
        """Write a tar.gz with a document for each table, and the files; yield what is in it.

        Raises:
            Refused: there is no such person, or this is no mail address.
        """
        keys = {email, self.directory.get(email).id if self.directory else mail_address(email)}
        with tarfile.open(fileobj=to, mode="w:gz") as archive:
            for database in self.databases:
                rows, found_keys = database.of(email, *keys)
                keys |= {*found_keys}
                for table, found in rows.items():
                    _add(archive, f"{database.name}/{table}.json", _document(found))
                yield f"{database.name}: {sum(map(len, rows.values()))} rows"
                count = 0
                for row in rows.get(FILES, []):
                    content = self.uploads.read(row["path"]) if row.get("path") else None
                    if content is not None:
                        count += 1
                        _add(archive, f"files/{row['id']}/{Path(str(row['filename'])).name}", content)
                if FILES in rows:
                    yield f"files: {count}"
            for folder in self.folders:
                paths = [*folder.of(keys)]
                for path in paths:
                    _add(archive, _name(path), folder.read(path) or b"")
                yield f"files: {len(paths)}"

    def erase(self, email: str, *, at_once: bool = False) -> Iterator[str]:
        """Delete all that is kept of a person; yield what is gone, and what others have written about them.

        What they did last may not be written yet: it is waited for, unless they are known to be idle (`at_once`).
        Whatever a broken-off run has left goes the next time: nobody has to be there.

        Raises:
            Refused: this is not a mail address.
        """
        keys = {mail_address(email)}
        if self.directory and (person := self.directory.find(email)):
            keys.add(person.id)
            self.directory.delete(person)
            yield f"sign-on: {email} is gone"
        for database in self.databases:
            if (lag := database.lag_seconds) and not at_once:
                yield f"{database.name}: waiting {lag} s until it has written what they did last"
                time.sleep(lag)
            rows, found = database.of(email, *keys)
            keys |= {*found}
            for row in rows.get(FILES, []):
                if row.get("path"):
                    self.uploads.delete(row["path"])
            yield f"{database.name}: {database.erase(found)} rows are gone"
        for folder in self.folders:
            paths = [*folder.of(keys)]
            for path in paths:
                folder.delete(path)
            yield f"files: {len(paths)} are gone"
        for database in self.databases:
            for word, place in database.mentions(keys):
                yield f"somebody else's data still mention {word}: {place}"


def _name(path: str) -> str:
    """Name a file in an archive so that it lies below `files`, whatever it was called."""
    parts = path.removeprefix(S3).split("/")
    return "/".join(["files", *(part for part in parts if part not in ("", ".", ".."))])


def _document(content: Any) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False, default=str).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
    archive.addfile(entry, io.BytesIO(content))
