"""What Open WebUI leaves behind is told from what somebody still needs."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.programs import load

ONE, TWO = "0b5f0c1e-1111-4a4a-8b8b-000000000001", "0b5f0c1e-1111-4a4a-8b8b-000000000002"
NOW = 1_000_000.0
OLD, NEW = int(NOW) - 24 * 3600 - 1, int(NOW) - 24 * 3600 + 1


@pytest.fixture(scope="module")
def tidy() -> ModuleType:
    return load("roles/open_webui/files/tidy.py")


def test_a_file_goes_when_it_is_old_and_mentioned_nowhere(tidy: ModuleType) -> None:
    assert tidy.forgotten_files({ONE: OLD, TWO: OLD}, {TWO}, NOW) == {ONE}
    assert tidy.forgotten_files({ONE: NEW}, set(), NOW) == set()


def test_vectors_go_when_nothing_knows_their_number(tidy: ModuleType) -> None:
    collections = {f"file-{ONE}": ONE, TWO: TWO}
    assert tidy.forgotten_collections(collections, {TWO}) == {f"file-{ONE}"}
    assert tidy.forgotten_collections(collections, {ONE, TWO}) == set()


def test_an_upload_goes_when_it_is_old_and_belongs_to_no_file(tidy: ModuleType) -> None:
    written = {f"{ONE}_a.txt": float(OLD), f"{TWO}_b.txt": float(OLD), f"{ONE}.pdf": float(NEW), "cat.png": float(OLD)}
    assert tidy.forgotten_uploads(written, {TWO}, NOW) == {f"{ONE}_a.txt"}


def test_a_copy_goes_when_it_is_old_and_the_bucket_has_it(tidy: ModuleType) -> None:
    written = {"a.txt": float(OLD), "b.txt": float(NEW), "not moved.txt": float(OLD)}
    assert tidy.copies(written, {"a.txt", "b.txt"}, NOW) == {"a.txt"}
