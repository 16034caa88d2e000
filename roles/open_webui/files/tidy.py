"""Delete what Open WebUI leaves behind: files that nothing mentions any more, their uploads and their vectors.

Deleting a knowledge base or a chat in the page deletes its name only. What was uploaded is kept as long as its number
stands anywhere in the database: in a chat, a message, a channel, a knowledge base, a model, or in a table that a later
version brings. What is younger than a day is kept, too: it may belong to a question that is being typed.

Where uploads lie in a bucket, Open WebUI leaves a copy of what people look at in its folder; that goes after a day.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

YOUNG = 24 * 3600  # seconds
NUMBER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Their own tables do not count as a mention.
OWN = ["file", "document_chunk"]


def forgotten_files(made: Mapping[str, int], known: Set[str], now: float) -> set[str]:
    """Return the numbers of the files that are old enough and mentioned nowhere."""
    return {number for number, at in made.items() if at < now - YOUNG and number not in known}


def forgotten_collections(numbers: Mapping[str, str], known: Set[str]) -> set[str]:
    """Return the names of the collections of vectors whose number nothing knows."""
    return {name for name, number in numbers.items() if number not in known}


def forgotten_uploads(written: Mapping[str, float], files: Set[str], now: float) -> set[str]:
    """Return the names of the uploads that are old enough and belong to no file; one without a number is left alone."""
    return {
        name
        for name, at in written.items()
        if at < now - YOUNG and (found := NUMBER.match(name)) and found.group() not in files
    }


def copies(written: Mapping[str, float], bucket: Set[str], now: float) -> set[str]:
    """Return the names of the uploads that are old enough and lie in the bucket as well."""
    return {name for name, at in written.items() if at < now - YOUNG and name in bucket}


def mentioned(cursor: Any, numbers: Iterable[str]) -> set[str]:
    """Return those of the numbers that stand in any table but the files' own."""
    from psycopg2 import sql

    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> ALL (%s)", [OWN]
    )
    tables = [table for (table,) in cursor]
    pattern, wanted, known = f"({NUMBER.pattern})", list(numbers), set[str]()
    for table in tables:
        found = sql.SQL("SELECT (regexp_matches(whole_row::text, %s, 'g'))[1] AS number FROM {} AS whole_row")
        query = sql.SQL("SELECT DISTINCT number FROM ({}) AS found WHERE number = ANY (%s)")
        cursor.execute(query.format(found.format(sql.Identifier(table))), [pattern, wanted])
        known |= {number for (number,) in cursor}
    return known


def tidy_database(url: str, now: float) -> tuple[set[str], int, int]:
    """Delete forgotten files and vectors; return the numbers of the files that stay, and how many of each went."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.set_session(isolation_level="REPEATABLE READ")  # a question asked meanwhile is seen wholly or not at all
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, created_at FROM file")
        made = dict(cursor.fetchall())
        cursor.execute("SELECT DISTINCT collection_name FROM document_chunk")
        collections = {name: found.group() for (name,) in cursor if (found := NUMBER.search(name))}
        known = mentioned(cursor, made.keys() | collections.values())
        files = forgotten_files(made, known, now)
        stay = made.keys() - files
        vectors = forgotten_collections(collections, known | stay)
        cursor.execute("DELETE FROM file WHERE id = ANY (%s)", [list(files)])
        cursor.execute("DELETE FROM document_chunk WHERE collection_name = ANY (%s)", [list(vectors)])
    connection.close()
    return stay, len(files), len(vectors)


class Folder:
    """Uploads in a folder of this host."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def written(self) -> dict[str, float]:
        """Tell when each was written, in seconds since 1970."""
        return {path.name: path.stat().st_mtime for path in self.path.iterdir()} if self.path.exists() else {}

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)  # a copy may be gone by now


class Bucket:
    """Uploads in a bucket, as Open WebUI's environment describes it."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        import boto3
        from botocore.config import Config

        self.name = settings["S3_BUCKET_NAME"]
        self.client = boto3.client(
            "s3",
            endpoint_url=settings["S3_ENDPOINT_URL"],
            region_name=settings["S3_REGION_NAME"],
            aws_access_key_id=settings["S3_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["S3_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": settings["S3_ADDRESSING_STYLE"]}),
        )

    def written(self) -> dict[str, float]:
        """Tell when each was written, in seconds since 1970."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {found["Key"]: found["LastModified"].timestamp() for page in pages for found in page.get("Contents", [])}

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=name)


def main() -> int:
    """Tidy the database that the environment file names, and the uploads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="file with Open WebUI's DATABASE_URL=… and S3_…")
    parser.add_argument("uploads", type=Path, help="the folder of uploads or, where there is a bucket, of copies")
    options = parser.parse_args()
    settings = dict(line.partition("=")[::2] for line in options.environment.read_text().splitlines())
    folder = Folder(options.uploads)
    bucket = Bucket(settings) if settings.get("S3_BUCKET_NAME") else None
    # Looked at first: a file that is uploaded meanwhile is not among them.
    here, there = folder.written(), bucket.written() if bucket else {}
    now = time.time()
    stay, files, vectors = tidy_database(settings["DATABASE_URL"], now)
    gone_here = forgotten_uploads(here, stay, now) | copies(here, there.keys(), now)
    gone_there = forgotten_uploads(there, stay, now)
    for name in gone_here:
        folder.delete(name)
    for name in gone_there:
        if bucket:
            bucket.delete(name)
    uploads = len(gone_here | gone_there)
    print(f"deleted {files} files, {uploads} uploads and {vectors} collections of vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
