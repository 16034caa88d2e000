"""Root file systems of containers: a stack of read-only layers and a writable directory, joined by an overlay mount.

An image is a list of layers. A snapshot turns a machine's topmost directory into a layer: if the machine is off by
moving it, which takes no time however much is in it, if it runs by copying it. Machines made from it start at once.

Podman inside a machine cannot put overlays on ours: its /var/lib/containers is a plain directory beside the stack.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from localcloud.core.backend import BackendError
from localcloud.machine.process import run
from localcloud.paths import IMAGES, LAYERS, MACHINES, STATE

LOCK = STATE / "layers.lock"
MOST_LAYERS = 32  # the kernel takes one page of mount options: about 50 of our paths


def directory(name: str) -> Path:
    """Return the directory that holds everything of a container."""
    return MACHINES / name


def images() -> list[str]:
    """Name the existing images."""
    return sorted(path.stem for path in IMAGES.glob("*.json"))


@contextmanager
def unfinished_layer() -> Iterator[Path]:
    """Yield a directory to fill; it is removed afterwards unless `add_image` took it."""
    path = LAYERS / f".{uuid4().hex}"
    path.mkdir(parents=True, mode=0o700)
    try:
        yield path
    finally:
        if path.exists():
            shutil.rmtree(path)


def add_image(name: str, below: Sequence[str], unfinished: Path, **facts: str) -> Path:
    """Turn a filled directory into the top layer of an image, atomically; return the layer."""
    layer = LAYERS / unfinished.name.removeprefix(".")
    with _records():
        unfinished.rename(layer)
        _record_image(name, [*below, layer.name], facts)
    return layer


def _record_image(name: str, layers: Sequence[str], facts: Mapping[str, str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    _write(IMAGES / f"{name}.json", {"layers": layers, **facts})


def image_facts(name: str) -> dict[str, str]:
    """Return what `add_image` was told about an image; empty if there is no such image."""
    path = IMAGES / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def delete_image(name: str) -> None:
    """Forget an image; its layers stay while anything else uses them."""
    with _records():
        (IMAGES / f"{name}.json").unlink(missing_ok=True)
    _remove_unused_layers()


def create(name: str, image: str) -> Path:
    """Make a root from an image and mount it; return the mount point."""
    record = directory(name) / "layers.json"
    with _records():
        if not record.exists():
            if image not in images():
                raise BackendError(f"there is no image {image}")
            record.parent.mkdir(parents=True, exist_ok=True)
            _write(record, json.loads((IMAGES / f"{image}.json").read_text())["layers"])
    return mount(name)


def mount(name: str) -> Path:
    """Mount a root unless it is mounted; return the mount point."""
    top = directory(name)
    root = top / "root"
    if not root.is_mount():
        _fill_top_layer(name)
        layers = _layers_of(name)
        _copy_containers(LAYERS / layers[-1] / "containers", top / "containers")
        for part in ("root", "work", "upper"):
            (top / part).mkdir(exist_ok=True)
        lower = ":".join(str(LAYERS / layer / "root") for layer in reversed(layers))
        # Layers must mean the same after being copied: no references between them.
        options = f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work,index=off,metacopy=off,redirect_dir=off"
        run("mount", "-t", "overlay", "parrotpark", "-o", options, root)
    return root


def _copy_containers(source: Path, containers: Path) -> None:
    if not containers.exists():
        unfinished = containers.with_suffix(".new")
        unfinished.mkdir(exist_ok=True)
        if source.exists():
            run("cp", "-a", "--reflink=auto", f"{source}/.", unfinished)
        unfinished.rename(containers)


def snapshot(name: str, image: str, **facts: str) -> int:
    """Save a root that is not in use as an image, without copying; return the bytes that it adds.

    Its topmost directory becomes the image's layer, and is from now on the root's own layer, too. If interrupted,
    this loses nothing: when repeated, it goes on from there.
    """
    _unmount(name)
    os.sync()
    _fill_top_layer(name)
    if (directory(name) / "upper").exists():  # else nothing was written since the last snapshot
        if len(_layers_of(name)) >= MOST_LAYERS:
            return snapshot_in_use(name, image, **facts)
        _add_empty_layer(name)
        _fill_top_layer(name)
    layers = _layers_of(name)
    with _records():
        _record_image(image, layers, facts)
    return size(LAYERS / layers[-1])


def _add_empty_layer(name: str) -> None:
    layer = LAYERS / uuid4().hex
    with _records():
        layer.mkdir(mode=0o700)
        _write(directory(name) / "layers.json", [*_layers_of(name), layer.name])


def _fill_top_layer(name: str) -> None:
    """Move what was written last into a root's top layer, if that is still to be done; `root` comes last."""
    top, layer = directory(name), LAYERS / _layers_of(name)[-1]
    if not (layer / "root").exists():
        if not (layer / "containers").exists():
            (top / "containers").rename(layer / "containers")
        (top / "upper").rename(layer / "root")


def snapshot_in_use(name: str, image: str, **facts: str) -> int:
    """Save a copy of a root as an image; return the bytes that it adds."""
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
    """Unmount and remove a root and everything beside it."""
    _unmount(name)
    with _records():
        (directory(name) / "layers.json").unlink(missing_ok=True)
    if directory(name).exists():
        shutil.rmtree(directory(name))
    _remove_unused_layers()


def _unmount(name: str) -> None:
    root = directory(name) / "root"
    if root.is_mount():
        run("umount", root)


def remove_unfinished() -> None:
    """Remove the layers that a crash left half-made or half-removed."""
    for layer in LAYERS.glob(".*"):
        shutil.rmtree(layer)


def _layers_of(name: str) -> list[str]:
    path = directory(name) / "layers.json"
    if not path.exists():
        raise BackendError(f"{name} has no root")
    return list(json.loads(path.read_text()))


def _write(record: Path, content: object) -> None:
    unfinished = record.with_suffix(".new")
    unfinished.write_text(json.dumps(content))
    unfinished.rename(record)


def _remove_unused_layers() -> None:
    with _records():
        records = [json.loads(path.read_text())["layers"] for path in IMAGES.glob("*.json")]
        records += [json.loads(path.read_text()) for path in MACHINES.glob("*/layers.json")]
        used = {layer for layers in records for layer in layers}
        unused = [path for path in LAYERS.glob("[!.]*") if path.name not in used]
        # From here on they are this thread's alone: another that removes layers does not see them.
        doomed = [path.rename(path.with_name(f".{path.name}")) for path in unused]
    for path in doomed:
        shutil.rmtree(path)


@contextmanager
def _records() -> Iterator[None]:
    """Lock the records of which layers are used against other threads and the command line."""
    LAYERS.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
