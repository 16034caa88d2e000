"""The archive of the query engine is the same whenever and wherever it is made."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from localcloud.demo.stand_ins.query_engine import archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    for name in ("package.json", "query-engine", "dist/src/main.js", "node_modules/pg/index.js"):
        file = work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (work / "query-engine").chmod(0o755)
    return work


def packed(folder: Path, name: str) -> Path:
    file = folder.parent / name
    archive.write_archive(file, folder, archive.contents(folder))
    return file


def test_the_archive_does_not_depend_on_time_or_owner(folder: Path) -> None:
    first = packed(folder, "first")
    os.utime(folder / "package.json", (1, 1))
    assert packed(folder, "second").read_bytes() == first.read_bytes()


def test_the_launcher_comes_last_and_may_be_run(folder: Path) -> None:
    with tarfile.open(packed(folder, "archive")) as tar:
        last = tar.getmembers()[-1]
    assert (last.name, last.mode, last.uname) == ("query-engine", 0o755, "root")


def test_an_archive_of_these_sources_is_kept(tmp_path: Path) -> None:
    destination = tmp_path / "engine.tar.gz"
    destination.write_bytes(b"archive")
    (tmp_path / "engine.tar.gz.fingerprint").write_text(archive.fingerprint())
    assert archive.build(destination) is False


def test_an_archive_of_other_sources_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = tmp_path / "engine.tar.gz"
    destination.write_bytes(b"archive")
    (tmp_path / "engine.tar.gz.fingerprint").write_text("another")

    def npm(folder: Path, *_: str) -> None:
        for name in ("dist", "node_modules"):
            (folder / name).mkdir(exist_ok=True)

    monkeypatch.setattr(archive, "_npm", npm)
    assert archive.build(destination) is True
    assert archive.build(destination) is False


def test_a_missing_npm_is_one_line_that_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(archive.BuildError, match="install the packages nodejs and npm"):
        archive.build(tmp_path / "engine.tar.gz")


def test_a_failing_npm_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "npm", output="", stderr="E404 no such package")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(archive.BuildError, match="E404 no such package"):
        archive.build(tmp_path / "engine.tar.gz")


def test_the_lock_pins_every_package_by_hash_and_names_no_registry() -> None:
    packages = json.loads((archive.SOURCE / "package-lock.json").read_text())["packages"]
    locked = [package for name, package in packages.items() if name]
    assert locked
    assert all("integrity" in package and "resolved" not in package for package in locked)
