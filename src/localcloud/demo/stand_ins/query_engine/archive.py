"""Build the archive of the query engine that the local default gives LiteLLM.

Prisma's native engine is a download that not every network allows. The archive holds Prisma's official WASM build of it
behind a small Node program (`src/`), and Prisma's command line, all from npm by a hash-locked list. Unpacked, it is the
folder in which Prisma Client Python looks for both.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

SOURCE = Path(__file__).parent
INPUTS = ("package.json", "package-lock.json", "tsconfig.json", ".npmrc", "query-engine", "archive.py")
LAUNCHER = "query-engine"


class BuildError(Exception):
    """The archive could not be built; the message says in a few lines why."""


def fingerprint(source: Path = SOURCE) -> str:
    """Hash over every file that shapes the archive."""
    digest = sha256()
    for file in [*(source / name for name in INPUTS), *sorted((source / "src").iterdir())]:
        digest.update(f"{file.relative_to(source)}\0".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def build(destination: Path) -> bool:
    """Make the archive unless `destination` is already what these sources give; say whether it was made.

    Raises BuildError.
    """
    stamp = destination.with_name(destination.name + ".fingerprint")
    wanted = fingerprint()
    if destination.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="query-engine-") as folder:
        work = Path(folder)
        for name in (*INPUTS, "src"):
            copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copy
            copy(SOURCE / name, work / name)
        # No package's own script is run: Prisma's would download the native engine.
        _npm(work, "ci", "--ignore-scripts")
        _npm(work, "run", "build")
        _npm(work, "prune", "--ignore-scripts", "--omit=dev")
        stamp.unlink(missing_ok=True)
        part = destination.with_name(destination.name + ".part")
        write_archive(part, work, contents(work))
        part.replace(destination)
        stamp.write_text(wanted)
    return True


def contents(work: Path) -> Iterator[Path]:
    """What goes into the archive, in an order that never changes; the launcher last, as proof of a whole unpacking."""
    for name in ("package.json", "node_modules", "dist"):
        path = work / name
        yield from sorted(path.rglob("*")) if path.is_dir() else [path]
    yield work / LAUNCHER


def write_archive(file: Path, root: Path, paths: Iterator[Path]) -> None:
    """Write a tar.gz in which nothing depends on who made it or when."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = 0
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with (
        file.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths:
            archive.add(path, str(path.relative_to(root)), recursive=False, filter=anonymous)


def _npm(folder: Path, *arguments: str) -> None:
    print(f"query engine: npm {' '.join(arguments)}", flush=True)
    try:
        subprocess.run(
            ["npm", "--no-audit", "--no-fund", *arguments], cwd=folder, check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise BuildError("npm is missing: install the packages nodejs and npm") from None
    except subprocess.CalledProcessError as error:
        raise BuildError(f"npm {arguments[0]} failed:\n{error.stdout[-2000:]}{error.stderr[-2000:]}") from None


def main() -> None:
    """`python -m localcloud.demo.stand_ins.query_engine DESTINATION`"""
    destination = Path(sys.argv[1])
    try:
        made = build(destination)
    except BuildError as error:
        sys.exit(str(error))
    size = destination.stat().st_size / 1e6
    print(f"query engine: {'made' if made else 'kept'} {destination} ({size:.0f} MB)")
