"""Bring LiteLLM's database to the state its installed package expects.

The package ships its migrations as SQL files for Prisma's schema engine. They are applied here by name, and recorded
in `_prisma_migrations` as Prisma would, so that either of the two can carry on where the other stopped. A migration and
its record are one transaction: killed at any moment, the next run begins with the first migration without effect.

Prints one line for each thing done, or with `--check` for each thing a run would do. Runs in LiteLLM's own environment.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

PRISMA_LOCK = 72707369  # the advisory lock that Prisma's schema engine takes while it migrates

RECORDS = """
CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL,
    logs TEXT,
    rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
)
"""


class MigrationError(Exception):
    """The database cannot be migrated; the message is one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()

    @property
    def transactional(self) -> bool:
        """PostgreSQL refuses CREATE INDEX CONCURRENTLY inside a transaction; upstream keeps such a file to that."""
        statements = re.sub(rb"--[^\n]*", b"", self.sql)
        return re.search(rb"\bCONCURRENTLY\b", statements, re.IGNORECASE) is None


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    finished: bool
    rolled_back: bool


def read_migrations(folder: Path) -> list[Migration]:
    """The packaged migrations in the order of their names, which begin with their date."""
    files = sorted(folder.glob("*/migration.sql"), key=lambda file: file.parent.name)
    return [Migration(file.parent.name, file.read_bytes()) for file in files]


def pending(packaged: Iterable[Migration], records: Sequence[Record]) -> list[Migration]:
    """The packaged migrations that have no effect in the database yet.

    Raises MigrationError where Prisma itself began one and never said how it ended.
    """
    unclear = [record.name for record in records if not record.finished and not record.rolled_back]
    if unclear:
        raise MigrationError(
            f"Prisma began {unclear[0]} and did not finish it: look at its row in _prisma_migrations, "
            "and set finished_at where the migration has its effect, rolled_back_at where it has none"
        )
    applied = {record.name for record in records if record.finished}
    return [migration for migration in packaged if migration.name not in applied]


def read_environment(file: Path) -> dict[str, str]:
    """Read NAME=value lines. The role that writes them refuses values that would need quotes."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_records(connection: psycopg.Connection[Any]) -> list[Record]:
    """Raises MigrationError for a database that holds something, and not by migrations."""
    found = connection.execute("SELECT to_regclass('_prisma_migrations') IS NOT NULL").fetchone()
    if found == (True,):
        rows = connection.execute(
            "SELECT migration_name, finished_at IS NOT NULL, rolled_back_at IS NOT NULL FROM _prisma_migrations"
        )
        return [Record(*row) for row in rows]
    table = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace LIMIT 1"
    ).fetchone()
    if table is not None:
        raise MigrationError(f"the database holds the table {table[0]} but no record of migrations: use an empty one")
    return []


def apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    record = (
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count) "
        "VALUES (%s, %s, %s, now(), clock_timestamp(), 1)",
        (str(uuid.uuid4()), migration.checksum, migration.name),
    )
    if not migration.transactional:
        connection.execute(migration.sql)
        connection.execute(*record)
        return
    with connection.transaction():
        connection.execute(migration.sql)
        connection.execute(*record)


def broken_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """The indexes, quoted, that a CREATE INDEX CONCURRENTLY killed half-way left behind: kept up, yet never used."""
    rows = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace ORDER BY 1"
    )
    return [name for (name,) in rows]


def missing_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """The indexes on the request log that LiteLLM declares, and that its migrations leave to whoever migrates."""
    from litellm_proxy_extras.request_log_indexes import REQUEST_LOG_INDEXES

    rows = connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('i', 'I')")
    present = {name for (name,) in rows}
    return [index.name for index in REQUEST_LOG_INDEXES if index.name not in present]


def build_missing_indexes(url: str) -> None:
    """Have LiteLLM build them, which it does without keeping a running gateway from writing."""
    from litellm_proxy_extras.request_log_indexes import ensure_request_log_indexes

    if not ensure_request_log_indexes(url, "public"):
        raise MigrationError("an index on the request log could not be built: run this again")


def migrate(url: str, *, check: bool) -> None:
    """Apply what is pending, or with `check` only name it."""
    # The package looks for these two and does without them; importing them would take it seconds.
    sys.modules.update({"litellm": None, "prisma": None})  # type: ignore[dict-item]
    import litellm_proxy_extras
    import psycopg

    packaged = read_migrations(Path(litellm_proxy_extras.__file__).parent / "migrations")
    with psycopg.connect(url, autocommit=True) as connection:
        if not check:
            connection.execute("SELECT pg_advisory_lock(%s)", (PRISMA_LOCK,))
        todo = pending(packaged, read_records(connection))
        if todo and not check:
            connection.execute(RECORDS)
        for migration in todo:
            if not check:
                apply(connection, migration)
            print(f"migration {migration.name}")
        for name in broken_indexes(connection):
            if not check:
                connection.execute(f"REINDEX INDEX CONCURRENTLY {name}")  # quoted by PostgreSQL
            print(f"broken index {name}")
        indexes = missing_indexes(connection)
    if indexes and not check:
        build_missing_indexes(url)
    for name in indexes:
        print(f"index {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environment", type=Path, required=True, help="file whose DATABASE_URL names the database")
    parser.add_argument("--check", action="store_true", help="name what is pending and change nothing")
    arguments = parser.parse_args()
    try:
        # What follows the question mark is for Prisma's pool alone.
        url = read_environment(arguments.environment)["DATABASE_URL"].partition("?")[0]
        migrate(url, check=arguments.check)
    except MigrationError as error:
        sys.exit(f"Migration refused: {error}")


if __name__ == "__main__":
    main()
