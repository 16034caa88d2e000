"""Builds Open WebUI's image from Debian and PyPI packages and puts it into the local cloud's registry.

Upstream ships an image; the local default reaches no registry that has it. This one keeps upstream's port, paths and
start script, so that one role runs either. It lacks torch, and with it models of its own,
which the role never asks for.

`python -m localcloud.demo.stand_ins.open_webui_image FOLDER` writes the image's reference by digest into
FOLDER/open-webui.image, for the inventory to read. The same inputs are built once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.demo.stand_ins import oci
from localcloud.machine import registry
from localcloud.machine.process import run
from localcloud.paths import GATEWAY, REGISTRY_PORT

NAME = "open-webui"
REGISTRY = f"{GATEWAY}:{REGISTRY_PORT}"
LOCK = Path(__file__).parents[4] / "requirements" / "open-webui.txt"

# Open WebUI needs Python < 3.13: Debian 12 has 3.11, which upstream's image uses as well.
SUITE = "bookworm"
PYTHON = "3.11"
PACKAGES = ("ca-certificates", "media-types", "netbase", "python3", "tzdata")
UNREAD = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
SITE_PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"

CONFIG = {
    "Cmd": ["bash", "start.sh"],
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED=1",
        "DOCKER=true",
        "ENV=prod",
        "PORT=8080",
    ],
    "ExposedPorts": {"8080/tcp": {}},
    "WorkingDir": "/app/backend",
}
START = """\
#!/bin/bash
exec python3 -m uvicorn open_webui.main:app --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" \\
  --forwarded-allow-ips "${FORWARDED_ALLOW_IPS:-*}" --workers "${UVICORN_WORKERS:-1}"
"""


def version(lock: str) -> str:
    """Read Open WebUI's version from the text of its lock file."""
    return next(line for line in lock.splitlines() if line.startswith(f"{NAME}==")).split()[0].partition("==")[2]


def tag(lock: str) -> str:
    """Name the image after everything that shapes it."""
    shape = (lock, SUITE, PYTHON, PACKAGES, UNREAD, CONFIG, START, platform.machine())
    return f"{version(lock)}-{hashlib.sha256(repr(shape).encode()).hexdigest()[:12]}"


def make_root(root: Path, lock: Path) -> None:
    """Fill a directory with Debian, Open WebUI where upstream's image has it, and its start script.

    Raises:
        BackendError: a package could not be installed.
    """
    excluded = [f"--dpkgopt=path-exclude={path}" for path in UNREAD]
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *excluded, SUITE, root)
    packages = root / SITE_PACKAGES
    run(
        *("uv", "pip", "sync", "--quiet", "--require-hashes", "--only-binary=:all:", "--link-mode=copy"),
        *(f"--python-version={PYTHON}", f"--python-platform={platform.machine()}-manylinux_2_36"),
        *(f"--target={packages}", lock),
    )
    app = root / "app"
    backend = app / "backend"
    (backend / "data").mkdir(parents=True)
    shutil.move(packages / "open_webui", backend)
    shutil.move(backend / "open_webui" / "frontend", app / "build")
    for source_map in (app / "build").rglob("*.map"):  # for debuggers; a third of the pages
        source_map.unlink()
    (app / "package.json").write_text(json.dumps({"name": NAME, "version": version(lock.read_text())}))
    (backend / "start.sh").write_text(START)
    # A container's root may be read-only: what is not compiled now would be compiled on every start. olefile2 is a
    # relic of Python 2.
    compiled = [f"/{SITE_PACKAGES}", "/app/backend"]
    run("chroot", root, "python3", "-m", "compileall", "-q", "-j0", "-x", "/olefile2", *compiled)


def build(folder: Path, lock: Path, repository: oci.Repository, say: Callable[[str], None]) -> str:
    """Build the image, push it and return its digest.

    Raises:
        BackendError: a package, a program or the registry failed.
    """
    work = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=folder))
    work.chmod(0o755)  # apt fetches as a user of its own
    try:
        text = lock.read_text()
        say(f"Installing Open WebUI {version(text)} on Debian {SUITE}")
        make_root(work / "root", lock)
        say("Packing the layer")
        layer = oci.pack(work / "root", work / "layer.tar.zst")
        say(f"Pushing {layer.size >> 20} MiB to {repository.registry}")
        with registry.open_door() as door:
            return replace(repository, registry=door).push(tag(text), layer, CONFIG)
    finally:
        shutil.rmtree(work)


def publish(folder: Path, lock: Path, repository: oci.Repository, say: Callable[[str], None]) -> str:
    """Make sure that the registry has the lock file's image; write and return its reference by digest.

    Raises:
        BackendError: it could not be built or pushed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = repository.digest(tag(lock.read_text())) or build(folder, lock, repository, say)
    reference = f"{repository.registry}/{repository.name}@{digest}"
    (folder / f"{NAME}.image").write_text(f"{reference}\n")
    return reference


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the image as the command line says. Returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.open_webui_image", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the reference is written")
    options = parser.parse_args(argv)
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begin:4.0f} s  {line}", flush=True)

    try:
        say(publish(options.folder, LOCK, oci.Repository(REGISTRY, NAME), say))
    except BackendError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
