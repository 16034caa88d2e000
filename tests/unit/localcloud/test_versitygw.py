"""The S3 server is built once for the same sources, which say what each of its modules must hash to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from localcloud.demo.stand_ins.versitygw import build


@pytest.fixture
def destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program is to be; compiling it takes no time here."""

    def compile_in(work: Path) -> Path:
        (work / "program").write_text((work / "go.mod").read_text() + (work / "go.sum").read_text())
        return work / "program"

    monkeypatch.setattr(build, "compile_in", compile_in)
    return tmp_path / "artifacts" / "versitygw"


def test_it_is_made_once(destination: Path) -> None:
    assert [build.build(destination), build.build(destination)] == [True, False]
    assert sorted(file.name for file in destination.parent.iterdir()) == ["versitygw", "versitygw.fingerprint"]


@pytest.mark.parametrize("number", range(len(build.INPUTS)))
def test_it_is_made_anew_from_other_sources(
    destination: Path, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(destination)
    (tmp_path / "other").write_text("other")
    inputs = list(build.INPUTS)
    inputs[number] = tmp_path / "other"
    monkeypatch.setattr(build, "INPUTS", inputs)
    assert build.build(destination) is True


def test_a_build_that_fails_leaves_what_there_was(destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.build(destination)
    before = destination.read_bytes()
    monkeypatch.setattr(build, "fingerprint", lambda: "another")

    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "go", stderr="verifying module: checksum mismatch")

    monkeypatch.undo()
    monkeypatch.setattr(build, "fingerprint", lambda: "another")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(build.BuildError, match=r"^uv pip failed:\nverifying module: checksum mismatch"):
        build.build(destination)
    assert destination.read_bytes() == before


def test_a_missing_program_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError, match=r"^uv is missing"):
        build.build(tmp_path / "versitygw")


def test_every_module_is_pinned_by_its_hash() -> None:
    modules = {tuple(line.split()[:2]) for line in (build.SOURCE / "go.sum").read_text().splitlines()}
    lines = (build.SOURCE / "go.mod").read_text().splitlines()
    required = {tuple(line.split()[:2]) for line in lines if line.endswith("// indirect")}
    assert "github.com/versity/versitygw" in {name for name, *_ in required}
    assert required - modules == set()
