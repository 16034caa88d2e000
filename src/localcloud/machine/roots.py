"""Root file systems of containers: a stack of read-only layers and a writable directory, joined by an overlay mount.

An image is a list of layers. A snapshot copies only the topmost directory of a machine and adds it to the machine's
list: with gigabytes in it that is several times faster than `podman commit`, and machines made from it start at once.

Podman inside a machine cannot put overlays upon ours: its /var/lib/containers is a plain directory beside the stack.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from localcloud.backend import BackendError
from localcloud.machine.process import run
from localcloud.paths import IMAGES, LAYERS, MACHINES, STATE

LOCK = STATE / "layers.lock"


def directory(name: str) -> Path:
    """Return the directory that holds all there is of a container."""
    return MACHINES / name


def images() -> list[str]:
    """Name the images there are."""
    return sorted(path.stem for path in IMAGES.glob("*.json"))


@contextmanager
def unfinished_layer() -> Iterator[Path]:
    """Give a directory to fill; it is gone afterwards unless `add_image` took it."""
    path = LAYERS / f".{uuid4().hex}"
    path.mkdir(parents=True, mode=0o700)
    try:
        yield path
    finally:
        if path.exists():
            shutil.rmtree(path)


def add_image(name: str, below: Sequence[str], unfinished: Path, **facts: str) -> Path:
    """Make of a filled directory the top layer of an image, at once or not at all; return the layer."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    layer = LAYERS / unfinished.name.removeprefix(".")
    record = IMAGES / f".{name}"
    record.write_text(json.dumps({"layers": [*below, layer.name], **facts}))
    with _records():
        unfinished.rename(layer)
        record.rename(IMAGES / f"{name}.json")
    return layer


def image_facts(name: str) -> dict[str, str]:
    """Return what `add_image` was told about an image, or nothing where there is no such image."""
    path = IMAGES / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def delete_image(name: str) -> None:
    """Forget an image; its layers stay while anything else stands on them."""
    (IMAGES / f"{name}.json").unlink(missing_ok=True)
    _sweep_layers()


def create(name: str, image: str) -> Path:
    """Make a root from an image and mount it; return where."""
    top = directory(name)
    for part in ("upper", "work", "root"):
        (top / part).mkdir(parents=True, exist_ok=True)
    layers = _pin_layers(name, image)
    containers = top / "containers"
    if not containers.exists():
        baked, unfinished = LAYERS / layers[-1] / "containers", top / "containers.new"
        unfinished.mkdir(exist_ok=True)
        if baked.exists():
            run("cp", "-a", "--reflink=auto", f"{baked}/.", unfinished)
        unfinished.rename(containers)
    return mount(name)


def _pin_layers(name: str, image: str) -> list[str]:
    """Note which layers a root stands on, at its first making."""
    record = directory(name) / "layers.json"
    with _records():
        if not record.exists():
            if image not in images():
                raise BackendError(f"there is no image {image}")
            layers = json.loads((IMAGES / f"{image}.json").read_text())["layers"]
            unfinished = record.with_suffix(".new")
            unfinished.write_text(json.dumps(layers))
            unfinished.rename(record)
    return _layers_of(name)


def mount(name: str) -> Path:
    """Mount a root unless it is mounted; return where."""
    top = directory(name)
    root = top / "root"
    if not root.is_mount():
        lower = ":".join(str(LAYERS / layer / "root") for layer in reversed(_layers_of(name)))
        # Layers must mean the same after being copied: no references from one into another.
        options = f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work,index=off,metacopy=off,redirect_dir=off"
        run("mount", "-t", "overlay", "parrotpark", "-o", options, root)
    return root


def snapshot(name: str, image: str, **facts: str) -> int:
    """Save a root as an image; return the bytes that it adds."""
    top = directory(name)
    os.sync()
    with unfinished_layer() as unfinished:
        run("cp", "-a", "--reflink=auto", "--sparse=auto", top / "upper", unfinished / "root")
        run("cp", "-a", "--reflink=auto", "--sparse=auto", top / "containers", unfinished / "containers")
        return size(add_image(image, _layers_of(name), unfinished, **facts))


def size(path: Path) -> int:
    """Return the bytes that a directory takes on the disk."""
    return int(run("du", "--summarize", "--block-size=1", path).split()[0])


def delete(name: str) -> None:
    """Unmount and remove a root and all beside it."""
    root = directory(name) / "root"
    if root.is_mount():
        run("umount", root)
    if directory(name).exists():
        shutil.rmtree(directory(name))
    _sweep_layers()


def remove_unfinished() -> None:
    """Remove the layers that a crash left half made."""
    for layer in LAYERS.glob(".*"):
        shutil.rmtree(layer)


def _layers_of(name: str) -> list[str]:
    path = directory(name) / "layers.json"
    if not path.exists():
        raise BackendError(f"{name} has no root")
    return list(json.loads(path.read_text()))


def _sweep_layers() -> None:
    with _records():
        records = [json.loads(path.read_text())["layers"] for path in IMAGES.glob("*.json")]
        records += [json.loads(path.read_text()) for path in MACHINES.glob("*/layers.json")]
        used = {layer for layers in records for layer in layers}
        unused = [path for path in LAYERS.glob("[!.]*") if path.name not in used]
    for path in unused:
        shutil.rmtree(path)


@contextmanager
def _records() -> Iterator[None]:
    """Keep other threads, and the command line, from what says which layers are used."""
    LAYERS.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
