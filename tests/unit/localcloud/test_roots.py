"""Snapshots of roots: what a machine held is in the image and in the machine, whenever the program was killed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcloud.machine import roots
from localcloud.machine.process import run

WRITTEN = {"root/etc/os": "debian", "root/opt/model": "weights", "containers/layer": "pulled"}


class Killed(BaseException):
    """What nobody in the program catches."""


@pytest.fixture(autouse=True)
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine `m` made from a system image, with files written into it; nothing is really mounted."""
    for name in ("LAYERS", "IMAGES", "MACHINES"):
        monkeypatch.setattr(roots, name, tmp_path / name.lower())
    monkeypatch.setattr(roots, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(roots, "run", run_but_mount)
    with roots.unfinished_layer() as unfinished:
        write(unfinished / "root/etc/os", "debian")
        roots.add_image("system", [], unfinished)
    roots.create("m", "system")
    write(roots.directory("m") / "upper/opt/model", "weights")
    write(roots.directory("m") / "containers/layer", "pulled")
    return tmp_path / "layers"


def run_but_mount(*argv: str | Path) -> str:
    """Let `mount` only make sure that there is what it would join."""
    if argv[0] != "mount":
        return run(*argv)
    options = dict(option.split("=", 1) for option in str(argv[5]).split(","))
    for path in (*options["lowerdir"].split(":"), options["upperdir"], options["workdir"], str(argv[6])):
        assert Path(path).is_dir(), path
    return ""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def layers_of(name: str) -> list[str]:
    return list(json.loads((roots.directory(name) / "layers.json").read_text()))


def seen_in(name: str) -> dict[str, str]:
    """What a mounted machine shows, by where it stands in a layer."""
    roots.mount(name)
    top = roots.directory(name)
    below = [top.parent.parent / "layers" / layer / "root" for layer in layers_of(name)]
    stack = {name: text for layer in (*below, top / "upper") for name, text in files(layer).items()}
    return {
        **{f"root/{name}": text for name, text in stack.items()},
        **{f"containers/{name}": text for name, text in files(top / "containers").items()},
    }


def seen_in_a_machine_from(image: str) -> dict[str, str]:
    roots.create("other", image)
    return seen_in("other")


@pytest.mark.parametrize("snapshot", [roots.snapshot, roots.snapshot_in_use])
def test_image_and_machine_hold_what_was_written(snapshot: Callable[[str, str], int]) -> None:
    assert snapshot("m", "snapshot-1") >= len("weights" + "pulled")
    assert seen_in("m") == seen_in_a_machine_from("snapshot-1") == WRITTEN


def test_what_is_written_later_is_not_in_the_image() -> None:
    roots.snapshot("m", "snapshot-1")
    roots.mount("m")
    write(roots.directory("m") / "upper/opt/later", "more")
    assert seen_in_a_machine_from("snapshot-1") == WRITTEN
    roots.snapshot("m", "snapshot-2")
    roots.delete("other")
    assert seen_in("m") == seen_in_a_machine_from("snapshot-2") == {**WRITTEN, "root/opt/later": "more"}


def test_a_machine_that_is_off_is_not_copied(layers: Path) -> None:
    before = (roots.directory("m") / "upper/opt/model").stat().st_ino
    roots.snapshot("m", "snapshot-1")
    (model,) = layers.glob("*/root/opt/model")
    assert model.stat().st_ino == before


def test_a_second_snapshot_of_the_same_takes_no_layer(layers: Path) -> None:
    roots.snapshot("m", "snapshot-1")
    before = sorted(layers.iterdir())
    roots.snapshot("m", "snapshot-2")
    assert sorted(layers.iterdir()) == before
    assert seen_in_a_machine_from("snapshot-2") == WRITTEN


@pytest.mark.parametrize("image_first", [True, False])
def test_layers_stay_while_anything_stands_on_them(layers: Path, image_first: bool) -> None:
    roots.snapshot("m", "snapshot-1")
    roots.create("other", "snapshot-1")
    for image in (image_first, not image_first):
        roots.delete_image("snapshot-1") if image else roots.delete("m")
        assert seen_in("other") == WRITTEN
    roots.delete("other")
    assert len(list(layers.iterdir())) == 1  # the system image's


def test_many_are_deleted_at_once(layers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that find the same unused layers, and machines that go while others are being looked through."""
    for number in range(6):
        roots.create(f"m{number}", "system")
        write(roots.directory(f"m{number}") / "upper/opt/model", "weights")
        roots.snapshot(f"m{number}", f"snapshot-{number}")
    remove, read = shutil.rmtree, Path.read_text

    def slowly[**P, T](work: Callable[P, T]) -> Callable[P, T]:
        def slow(*arguments: P.args, **options: P.kwargs) -> T:
            time.sleep(0.003)
            return work(*arguments, **options)

        return slow

    monkeypatch.setattr(shutil, "rmtree", slowly(remove))
    monkeypatch.setattr(Path, "read_text", slowly(read))
    with ThreadPoolExecutor(12) as pool:
        done = [pool.submit(roots.delete, f"m{number}") for number in range(6)]
        done += [pool.submit(roots.delete_image, f"snapshot-{number}") for number in range(6)]
    assert [str(each.exception()) for each in done if each.exception()] == []
    assert len(list(layers.iterdir())) == 1  # the system image's
    assert seen_in("m") == WRITTEN


def test_a_stack_stays_low_enough_to_be_mounted() -> None:
    for number in range(roots.MOST_LAYERS + 2):
        roots.mount("m")
        write(roots.directory("m") / "upper/opt/number", str(number))
        roots.snapshot("m", f"snapshot-{number}")
    assert len(layers_of("m")) == roots.MOST_LAYERS
    assert seen_in("m") == seen_in_a_machine_from(f"snapshot-{number}") == {**WRITTEN, "root/opt/number": str(number)}


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Kill the program as it is about to change the disk for the `step`th time."""
    left = step
    with pytest.MonkeyPatch.context() as patch:
        for name in ("mkdir", "rename", "write_text"):
            change = getattr(Path, name)

            def changed(*args: object, change: Callable[..., object] = change, **kwargs: object) -> object:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return change(*args, **kwargs)

            patch.setattr(Path, name, changed)
        yield


STEPS = 10  # changes of the disk that a snapshot of a machine that is off makes


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("boots_first", [False, True])
def test_killed_at_any_moment_nothing_is_lost(step: int, boots_first: bool) -> None:
    with pytest.raises(Killed), killed_at(step):
        roots.snapshot("m", "snapshot-1")
    roots.remove_unfinished()
    roots.delete_image("another")  # sweeps the layers that nothing stands on
    if boots_first:
        assert seen_in("m") == WRITTEN
    roots.snapshot("m", "snapshot-1")
    assert seen_in("m") == seen_in_a_machine_from("snapshot-1") == WRITTEN


def test_there_are_no_more_moments() -> None:
    with killed_at(STEPS):
        roots.snapshot("m", "snapshot-1")


@pytest.mark.parametrize("step", range(5))
def test_killed_while_it_is_mounted_again_nothing_is_lost(step: int) -> None:
    roots.snapshot("m", "snapshot-1")
    with pytest.raises(Killed), killed_at(step):
        roots.mount("m")
    roots.snapshot("m", "snapshot-2")
    assert seen_in("m") == seen_in_a_machine_from("snapshot-2") == WRITTEN
