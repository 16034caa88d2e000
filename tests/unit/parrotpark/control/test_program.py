"""A program is one file: it runs by itself, holds what it needs and no more, and is the same wherever it is made."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from parrotpark.control import program

GPU_HOST = [f"parrotpark.gpu_host.{name}" for name in ("deadman", "gpu", "join", "seal")]


def rooms(module: str) -> set[str]:
    return {path.relative_to(program.SOURCES / "parrotpark").parts[0] for path in program.sources(module)}


@pytest.mark.parametrize("module", GPU_HOST)
def test_a_gpu_host_needs_nothing_but_the_standard_library(module: str, tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(program.build(module))
    # -S: no libraries.
    done = subprocess.run([sys.executable, "-I", "-S", file, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: " in done.stdout
    for source in program.sources(module):
        ast.parse(source.read_text(), feature_version=(3, 11))


@pytest.mark.parametrize("module", GPU_HOST)
def test_a_gpu_host_gets_nothing_of_the_other_machines(module: str) -> None:
    assert rooms(module) <= {"__init__.py", "gpu_host", "shared"}
    assert not {"wish.py", "lease.py"} & {path.name for path in program.sources(module)}


@pytest.mark.parametrize(
    "module", sorted(path.stem for path in (program.SOURCES / "parrotpark/shared").glob("[a-z]*.py"))
)
def test_what_is_shared_rests_on_nothing_else(module: str) -> None:
    assert rooms(f"parrotpark.shared.{module}") == {"__init__.py", "shared"}


def test_the_entry_server_gets_what_it_needs_and_no_more() -> None:
    assert rooms("parrotpark.fleet.cli") == {"__init__.py", "cloud", "fleet", "golden", "shared"}
    assert not {"fingerprint.py", "bake_server.py"} & {path.name for path in program.sources("parrotpark.fleet.cli")}


def test_the_same_sources_give_the_same_file_and_others_another() -> None:
    assert program.build("parrotpark.gpu_host.join") == program.build("parrotpark.gpu_host.join")
    assert program.build("parrotpark.gpu_host.join") != program.build("parrotpark.gpu_host.deadman")
    assert program.build("parrotpark.gpu_host.join").startswith(b"#!/usr/bin/python3 -I\n")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ImportError, match="leave"):
        program.build("parrotpark.gpu_host.leave")
