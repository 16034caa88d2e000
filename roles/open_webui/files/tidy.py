"""Delete what Open WebUI leaves behind: files that nothing mentions any more, their uploads and their vectors.

Deleting a knowledge base or a chat in the page deletes its name only. What was uploaded is kept as long as its number
stands anywhere in the database: in a chat, a message, a channel, a knowledge base, a model, or in a table that a later
version brings. What is younger than a day is kept, too: it may belong to a question that is being typed.
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


def main() -> int:
    """Tidy the database that the environment file names, and the folder of uploads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="file with a line DATABASE_URL=…")
    parser.add_argument("uploads", type=Path)
    options = parser.parse_args()
    settings = dict(line.partition("=")[::2] for line in options.environment.read_text().splitlines())
    # Looked at first: a file that is uploaded meanwhile is not among them.
    written = (
        {path.name: path.stat().st_mtime for path in options.uploads.iterdir()} if options.uploads.exists() else {}
    )
    now = time.time()
    stay, files, vectors = tidy_database(settings["DATABASE_URL"], now)
    uploads = forgotten_uploads(written, stay, now)
    for name in uploads:
        (options.uploads / name).unlink()
    print(f"deleted {files} files, {len(uploads)} uploads and {vectors} collections of vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
