"""Root file systems of containers: a stack of read-only layers and a writable directory, joined by an overlay mount.

An image is a list of layers. A snapshot copies only the topmost directory of a machine and adds it to the machine's
list: with gigabytes in it that is several times faster than `podman commit`, and machines made from it start at once.

Podman inside a machine cannot put overlays upon ours: its /var/lib/containers is a plain directory beside the stack.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from localcloud.backend import BackendError
from localcloud.paths import IMAGES, LAYERS, MACHINES
from localcloud.process import run


def directory(name: str) -> Path:
    """Return the directory that holds all there is of a container."""
    return MACHINES / name


def images() -> list[str]:
    """Name the images there are."""
    return sorted(path.stem for path in IMAGES.glob("*.json"))


def add_image(name: str, layers: Sequence[str], **facts: str) -> None:
    """Record an image, from the bottom layer to the top one, at once or not at all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    unfinished = IMAGES / f".{name}"
    unfinished.write_text(json.dumps({"layers": list(layers), **facts}))
    unfinished.rename(IMAGES / f"{name}.json")


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
    if not (top / "layers.json").exists():
        if image not in images():
            raise BackendError(f"there is no image {image}")
        layers = json.loads((IMAGES / f"{image}.json").read_text())["layers"]
        for part in ("upper", "work", "root"):
            (top / part).mkdir(parents=True, exist_ok=True)
        (top / "containers").mkdir(exist_ok=True)
        containers = LAYERS / layers[-1] / "containers"
        if containers.exists():
            run("cp", "-a", "--reflink=auto", f"{containers}/.", top / "containers")
        (top / "layers.json").write_text(json.dumps(layers))
    return mount(name)


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
    layer = uuid4().hex
    os.sync()
    top = directory(name)
    with new_layer(layer) as unfinished:
        run("cp", "-a", "--reflink=auto", "--sparse=auto", top / "upper", unfinished / "root")
        run("cp", "-a", "--reflink=auto", "--sparse=auto", top / "containers", unfinished / "containers")
    add_image(image, [*_layers_of(name), layer], **facts)
    return size(LAYERS / layer)


@contextmanager
def new_layer(layer: str) -> Iterator[Path]:
    """Give a directory to fill, which becomes the layer unless the block raises."""
    unfinished = LAYERS / f".{layer}"
    unfinished.mkdir(parents=True, mode=0o700)
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    unfinished.rename(LAYERS / layer)


def size(path: Path) -> int:
    """Return the bytes that a directory takes on the disk."""
    return int(run("du", "--summarize", "--block-size=1", path).split()[0])


def delete(name: str) -> None:
    """Unmount and remove a root and all beside it."""
    root = directory(name) / "root"
    if root.is_mount():
        run("umount", root)
    shutil.rmtree(directory(name), ignore_errors=True)
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
    records = [json.loads(path.read_text())["layers"] for path in IMAGES.glob("*.json")]
    records += [json.loads(path.read_text()) for path in MACHINES.glob("*/layers.json")]
    used = {layer for layers in records for layer in layers}
    for path in LAYERS.iterdir():
        if path.name not in used and not path.name.startswith("."):
            shutil.rmtree(path)
