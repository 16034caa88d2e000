"""Build versitygw, the S3 server of the local cloud, from the Go module proxy.

`go.mod` says which version, and `go.sum` beside it what each module's source hashes to; Go takes no other. Its compiler
comes from the Python index by a hash-locked list: Debian's is too old.

`python -m localcloud.demo.stand_ins.versitygw DESTINATION [KEY …]` writes it there, from where the local cloud runs it,
and makes access keys, as a provider's console does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.machine import s3

SOURCE = Path(__file__).parent
COMPILER = SOURCE.parents[4] / "requirements" / "go.txt"
INPUTS = (SOURCE / "go.mod", SOURCE / "go.sum", COMPILER, Path(__file__))
PROGRAM = "github.com/versity/versitygw/cmd/versitygw"


class BuildError(Exception):
    """The program could not be built; the message says in a few lines why."""


def fingerprint() -> str:
    """Hash over every file that shapes the program."""
    return sha256(b"\0".join(file.read_bytes() for file in INPUTS)).hexdigest()


def build(destination: Path) -> bool:
    """Make the program unless `destination` is already what these sources give; say whether it was made.

    Raises BuildError.
    """
    stamp = destination.with_name(destination.name + ".fingerprint")
    wanted = fingerprint()
    if destination.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="versitygw-", dir=destination.parent) as folder:
        work = Path(folder)
        for name in ("go.mod", "go.sum"):
            shutil.copy(SOURCE / name, work)
        program = compile_in(work)
        stamp.unlink(missing_ok=True)
        program.replace(destination)
        stamp.write_text(wanted)
    return True


def compile_in(work: Path) -> Path:
    """Fetch the compiler and the modules into a folder, and return the program there."""
    _run(work, ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", f"--target={work / 'compiler'}",
                f"--requirement={COMPILER}"])  # fmt: skip
    settings = {
        "CGO_ENABLED": "0",  # so that it runs where nothing else is
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOPATH": str(work / "path"),
        "GOTOOLCHAIN": "local",
    }
    _run(work, [work / "compiler/go/bin/go", "build", "-ldflags=-s -w", "-o=program", PROGRAM], settings)
    return work / "program"


def _run(folder: Path, command: list[str | Path], settings: Mapping[str, str] | None = None) -> None:
    name = Path(command[0]).name
    print(f"versitygw: {name} {command[1]}", flush=True)
    try:
        subprocess.run(
            command, cwd=folder, env={**os.environ, **(settings or {})}, check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise BuildError(f"{name} is missing: run this with make up") from None
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{name} {command[1]} failed:\n{error.stderr[-2000:]}") from None


def main() -> None:
    """`python -m localcloud.demo.stand_ins.versitygw DESTINATION [KEY …]`"""
    destination, keys = Path(sys.argv[1]), sys.argv[2:]
    try:
        made = build(destination)
        size = destination.stat().st_size / 1e6
        print(f"versitygw: {'made' if made else 'kept'} {destination} ({size:.0f} MB)", flush=True)
        for key in keys:
            print(f"versitygw: the secret of access key {key} is in {s3.make_key(key)}")
        if keys:
            s3.wait()
    except (BuildError, BackendError) as error:
        sys.exit(str(error))
