"""Builds the images that stand in for LibreChat, its helpers and MongoDB, and puts them into the registry.

Upstream ships images only; the local default reaches no registry that has them. One layer holds Debian, LibreChat's
published packages and SecantusDB by hash-locked lists, and the programs of this folder; the images differ in what they
start.

`python -m localcloud.demo.stand_ins.librechat FOLDER` writes their references by digest into FOLDER, for the inventory
to read: `librechat.image`, `librechat-rag.image`, `librechat-search.image`, `mongodb.image`. The same inputs are built
once.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.demo.stand_ins import oci
from localcloud.machine import registry
from localcloud.machine.process import run
from localcloud.paths import GATEWAY, REGISTRY_PORT

NAME = "librechat"
REGISTRY = f"{GATEWAY}:{REGISTRY_PORT}"
SOURCE = Path(__file__).parent
INPUTS = ("package.json", "package-lock.json", ".npmrc")
LOCK = Path(__file__).parents[5] / "requirements" / "mongodb.txt"
SUITE = "trixie"
PYTHON = "3.13"
PACKAGES = ("ca-certificates", "nodejs", "python3")
UNREAD = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
# Where LibreChat's image has its server; the role starts that itself, and the other two as their images say.
COMMANDS = {
    NAME: ["node", "api/server/index.js"],
    f"{NAME}-rag": ["node", "api/server/rag.js"],
    f"{NAME}-search": ["node", "api/server/search.js"],
    "mongodb": ["mongod"],
}
# MongoDB's image says so, too, which release it holds.
ENVIRONMENT = ["PATH=/usr/local/bin:/usr/bin:/bin", "NODE_ENV=production", "MONGO_VERSION=8.0.20"]

type Say = Callable[[str], None]


def tag() -> str:
    """Name the images after everything that shapes them."""
    files = [LOCK, *(SOURCE / name for name in (*INPUTS, "mongod")), *sorted((SOURCE / "server").iterdir())]
    shape = [(file.name, file.read_bytes()) for file in files]
    constants = (SUITE, PYTHON, PACKAGES, UNREAD, COMMANDS, ENVIRONMENT, platform.machine())
    return hashlib.sha256(repr((shape, constants)).encode()).hexdigest()[:12]


def make_root(root: Path) -> None:
    """Fill a directory with Debian, Node and the programs. Raises `BackendError` where a package does not come."""
    excluded = [f"--dpkgopt=path-exclude={path}" for path in UNREAD]
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *excluded, SUITE, root)
    app = root / "app"
    # What the role mounts over, as in LibreChat's image.
    for folder in ("api", "client/public/images", "uploads"):
        (app / folder).mkdir(parents=True)
    for name in INPUTS:
        shutil.copy(SOURCE / name, app)
    shutil.copytree(SOURCE / "server", app / "api" / "server")
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / "mongod", root / "usr/local/bin")
    run(
        *("uv", "pip", "sync", "--quiet", "--require-hashes", "--only-binary=:all:", "--link-mode=copy"),
        *(f"--python-version={PYTHON}", f"--python-platform={platform.machine()}-manylinux_2_36"),
        *(f"--target={root / f'usr/local/lib/python{PYTHON}/dist-packages'}", LOCK),
    )
    try:
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"],
            cwd=app,
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise BackendError("npm is missing: install the packages nodejs and npm") from None
    except subprocess.CalledProcessError as error:
        raise BackendError(f"npm ci failed:\n{error.stderr[-2000:]}") from None


def build(folder: Path, repositories: Mapping[str, oci.Repository], say: Say) -> dict[str, str]:
    """Build the layer, push it once for each image and return their digests. Raises `BackendError`."""
    work = Path(tempfile.mkdtemp(prefix=f"{NAME}-", dir=folder))
    work.chmod(0o755)  # apt fetches as a user of its own
    try:
        say(f"Installing the packages of LibreChat and SecantusDB on Debian {SUITE}")
        make_root(work / "root")
        say("Packing the layer")
        layer = oci.pack(work / "root", work / "layer.tar.zst")
        say(f"Pushing {layer.size >> 20} MiB to {REGISTRY}")
        with registry.open_door() as door:
            return {
                name: replace(repository, registry=door).push(tag(), layer, config(name))
                for name, repository in repositories.items()
            }
    finally:
        shutil.rmtree(work)


def config(name: str) -> dict[str, object]:
    """Say how a container of the image starts."""
    return {"Cmd": COMMANDS[name], "Env": ENVIRONMENT, "WorkingDir": "/app"}


def publish(folder: Path, repositories: Mapping[str, oci.Repository], say: Say) -> dict[str, str]:
    """Make sure that the registry has the images; write and return their references by digest.

    Raises:
        BackendError: they could not be built or pushed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: repository.digest(tag()) for name, repository in repositories.items()}
    digests = found if all(found.values()) else build(folder, repositories, say)
    references = {name: f"{REGISTRY}/{name}@{digest}" for name, digest in digests.items()}
    for name, reference in references.items():
        (folder / f"{name}.image").write_text(f"{reference}\n")
    return references


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the images as the command line says. Returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.librechat", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the references are written")
    options = parser.parse_args(argv)
    begin = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - begin:4.0f} s  {line}", flush=True)

    try:
        references = publish(options.folder, {name: oci.Repository(REGISTRY, name) for name in COMMANDS}, say)
    except BackendError as error:
        print(error, file=sys.stderr)
        return 1
    for reference in references.values():
        say(reference)
    return 0
