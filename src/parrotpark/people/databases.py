# ruff: noqa: S608 - what is put into a statement is an identifier, quoted
"""What a PostgreSQL database keeps of a person: the rows in which a whole column says that it is theirs.

A table is not named here unless it has to be: one that a release of an application brings counts as soon as it says
whose a row is. A row that only mentions somebody, in the text of another person's chat, is that other person's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

type Rows = dict[str, list[dict[str, Any]]]
"""By the names of their tables."""


class Store(Protocol):
    """Where something of people is kept."""

    @property
    def name(self) -> str: ...

    @property
    def lag_seconds(self) -> int: ...

    def of(self, email: str, *known: str) -> tuple[Rows, list[str]]: ...

    def erase(self, keys: Collection[str]) -> int: ...

    def mentions(self, words: Collection[str]) -> Iterator[tuple[str, str]]: ...


class Stuck(Exception):
    """A row cannot be deleted; the message says which."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a database does not say of itself."""

    identify: str = ""
    """Query for what it calls the person with a mail address: one column, and a row for each name. Without one it
    calls them what others do."""
    things: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tables whose rows others hang on, and what those say of a row with a certain `id`."""
    organisations: frozenset[str] = frozenset()
    """Tables of what serves everybody, whoever made it: a row stays, and forgets who."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """For a table an expression that says whose a row is, where no column of its own does."""
    lag_seconds: int = 0
    """After which the application has written what somebody did."""


OPEN_WEBUI = Layout(
    'SELECT id FROM "user" WHERE lower(email) = lower(%s)',
    things={
        "automation": ("{}",),
        "chat": ("{}",),
        "file": ("{}", "file-{}"),
        "knowledge": ("{}",),
        "user": ("{}", "user-memory-{}"),
    },
    organisations=frozenset({"function", "function_history", "group", "model", "model_history", "tool"}),
    hints={"document_chunk": "vmetadata->>'created_by'"},
)
LITELLM = Layout(
    'SELECT user_id FROM "LiteLLM_EndUserTable" WHERE lower(user_id) = lower(%s)',
    # PROXY_BATCH_WRITE_AT, which is 10 to 15 seconds, and as long again to be on the safe side
    lag_seconds=30,
)
KEYCLOAK = Layout("SELECT id FROM user_entity WHERE lower(email) = lower(%s)")
# What was uploaded to an agent says that it is the agent's, and of whose file it is a piece.
LIBRECHAT = Layout(hints={"langchain_pg_embedding": "cmetadata->>'user_id'"})
LAYOUTS = {"open_webui": OPEN_WEBUI, "litellm": LITELLM, "keycloak": KEYCLOAK, "librechat": LIBRECHAT}

FOREIGN_KEY = "23503"  # PostgreSQL's code for a row that others need

TEXTS = """
SELECT c.relname AS "table", array_agg(a.attname::text) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0
  AND t.typname IN ('text', 'varchar', 'bpchar', 'uuid')
GROUP BY c.relname ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Database:
    """One database, through a cursor of psycopg2 that returns dicts."""

    name: str
    cursor: Any
    layout: Layout

    @property
    def lag_seconds(self) -> int:
        """After which the application has written what somebody did."""
        return self.layout.lag_seconds

    def of(self, email: str, *known: str) -> tuple[Rows, list[str]]:
        """Return all rows of the person, and what the database calls them; `known` are names that others gave."""
        keys = {email, email.lower(), *known}
        if self.layout.identify:
            self.cursor.execute(self.layout.identify, [email])
            keys |= {str(next(iter(row.values()))) for row in self.cursor}
        while True:
            theirs = {table: where for table, where in self._tables() if table not in self.layout.organisations}
            rows = {table: found for table, where in theirs.items() if (found := self._select(table, where, keys))}
            more = {
                form.format(row["id"])
                for table, forms in self.layout.things.items()
                for row in rows.get(table, [])
                for form in forms
            }
            if more <= keys:
                return rows, sorted(keys)
            keys |= more

    def erase(self, keys: Collection[str]) -> int:
        """Delete the rows that say one of the keys, for good, and return how many; what others hang on goes last.

        Raises:
            Stuck: another row needs one of them.
        """
        left, deleted = dict(self._tables()), 0
        while left:
            gone = 0
            for table, where in list(left.items()):
                count = self._delete(table, where, keys)
                if count is not None:
                    del left[table]
                    gone, deleted = gone + 1, deleted + count
            if not gone:
                raise Stuck(f"{self.name}: rows of {', '.join(left)} are needed by others")
        # Now: the next database may be waited for, and until then the chat would still know the person.
        self.cursor.connection.commit()
        return deleted

    def mentions(self, words: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield each word with each table with a row in which it stands anywhere, whatever its case."""
        self.cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
        tables = [row["tablename"] for row in self.cursor.fetchall()]
        for word, table in product(sorted(words), tables):
            query = f"SELECT count(*) AS n FROM {quoted(table)} t WHERE strpos(lower(t::text), lower(%s)) > 0"
            self.cursor.execute(query, [word])
            if count := self.cursor.fetchone()["n"]:
                yield word, f"{self.name}: {table} ({count})"

    def _tables(self) -> Iterator[tuple[str, str]]:
        """Yield each table with the condition that a row says one of the keys, which `%(keys)s` stands for."""
        self.cursor.execute(TEXTS)
        for row in self.cursor.fetchall():
            says = [*map(quoted, row["columns"]), *filter(None, [self.layout.hints.get(row["table"])])]
            yield row["table"], " OR ".join(f"{column}::text = ANY(%(keys)s)" for column in says)

    def _select(self, table: str, where: str, keys: Collection[str]) -> list[dict[str, Any]]:
        self.cursor.execute(f"SELECT to_jsonb(t) AS row FROM {quoted(table)} t WHERE {where}", {"keys": [*keys]})
        return [row["row"] for row in self.cursor.fetchall()]

    def _delete(self, table: str, where: str, keys: Collection[str]) -> int | None:
        """Delete rows; return None where others need them."""
        forget = table in self.layout.organisations
        verb = f"UPDATE {quoted(table)} SET user_id = '' WHERE user_id = ANY(%(keys)s)"
        self.cursor.execute("SAVEPOINT before")
        try:
            self.cursor.execute(verb if forget else f"DELETE FROM {quoted(table)} WHERE {where}", {"keys": [*keys]})
        except Exception as error:
            if getattr(error, "pgcode", None) != FOREIGN_KEY:
                raise
            self.cursor.execute("ROLLBACK TO before")
            return None
        return int(self.cursor.rowcount)


def quoted(name: str) -> str:
    """Write an identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def connected(name: str, password: str) -> Iterator[Database]:
    """Open the database of this name and owner on this host; what was changed is kept where nothing fails.

    Raises:
        psycopg2.Error: it does not answer.
    """
    import psycopg2
    from psycopg2.extras import RealDictCursor

    opened = psycopg2.connect(host="127.0.0.1", dbname=name, user=name, password=password)
    with closing(opened), opened, opened.cursor(cursor_factory=RealDictCursor) as cursor:
        yield Database(name, cursor, LAYOUTS[name])
