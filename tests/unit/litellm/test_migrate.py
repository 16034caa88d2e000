"""Which of LiteLLM's migrations are pending, and how each is applied."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["20250101_first", "20250202_Add a column", "20250303_last"]


def package(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "migration.sql").write_text(f"SELECT '{name}';\n")
    (folder / "migration_lock.toml").write_text("")
    return folder


def test_migrations_come_in_the_order_of_their_names(migrate: ModuleType, tmp_path: Path) -> None:
    migrations = migrate.read_migrations(package(tmp_path, [NAMES[2], NAMES[0], NAMES[1]]))
    assert [migration.name for migration in migrations] == NAMES


def test_the_checksum_is_prismas(migrate: ModuleType) -> None:
    assert migrate.Migration("m", b"SELECT 1;\n").checksum == hashlib.sha256(b"SELECT 1;\n").hexdigest()


@given(applied=st.integers(min_value=0, max_value=3), rolled_back=st.booleans())
def test_what_is_not_recorded_as_finished_is_pending(migrate: ModuleType, applied: int, rolled_back: bool) -> None:
    packaged = [migrate.Migration(name, b"") for name in NAMES]
    records = [migrate.Record(name, finished=True, rolled_back=False) for name in NAMES[:applied]]
    if rolled_back and applied < len(NAMES):
        records.append(migrate.Record(NAMES[applied], finished=False, rolled_back=True))
    assert [migration.name for migration in migrate.pending(packaged, records)] == NAMES[applied:]


def test_one_that_prisma_left_unfinished_is_for_a_person_to_judge(migrate: ModuleType) -> None:
    records = [migrate.Record(NAMES[0], finished=False, rolled_back=False)]
    with pytest.raises(migrate.MigrationError, match=NAMES[0]):
        migrate.pending([], records)


@pytest.mark.parametrize(
    ("sql", "transactional"),
    [
        (b'CREATE INDEX "a" ON "b" ("c");', True),
        (b'-- CREATE INDEX CONCURRENTLY cannot be used here\nCREATE INDEX "a" ON "b" ("c");', True),
        (b'-- why\nCREATE INDEX CONCURRENTLY IF NOT EXISTS "a" ON "b" ("c");', False),
    ],
)
def test_only_a_concurrent_index_is_built_outside_a_transaction(
    migrate: ModuleType, sql: bytes, transactional: bool
) -> None:
    assert migrate.Migration("m", sql).transactional is transactional


def test_the_environment_file_is_read_line_by_line(migrate: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("#\n# Ansible managed\n#\nDATABASE_URL=postgresql://u:p@h/d?a=b\n\nKEY=x\n")
    assert migrate.read_environment(file) == {"DATABASE_URL": "postgresql://u:p@h/d?a=b", "KEY": "x"}
