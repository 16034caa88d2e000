"""The images that stand in for LibreChat are built once for the same inputs, and anew for any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud.core.backend import BackendError
from localcloud.demo.stand_ins import oci
from localcloud.demo.stand_ins.librechat import image

DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class FakeRepository(oci.Repository):
    """A registry that holds what it is told to."""

    registry: str = "10.77.0.1:5000"
    name: str = "librechat"
    held: bool = True

    def digest(self, tag: str) -> str | None:
        return DIGEST if self.held and tag == image.tag() else None


def nothing_to_build(*_: object) -> dict[str, str]:
    raise BackendError("built")


@pytest.mark.parametrize("constant", ["SUITE", "PYTHON", "PACKAGES", "UNREAD", "COMMANDS", "ENVIRONMENT"])
def test_whatever_shapes_the_images_is_in_their_tag(monkeypatch: pytest.MonkeyPatch, constant: str) -> None:
    before = image.tag()
    assert before == image.tag()
    monkeypatch.setattr(image, constant, "other")
    assert image.tag() != before


@pytest.mark.parametrize("name", ["package-lock.json", "mongod", "server/index.js"])
def test_so_is_every_file_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for file in (*image.INPUTS, "mongod", *(f"server/{path.name}" for path in (image.SOURCE / "server").iterdir())):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((image.SOURCE / file).read_bytes())
    before = image.tag()
    monkeypatch.setattr(image, "SOURCE", tmp_path)
    assert image.tag() == before
    (tmp_path / name).write_text("other")
    assert image.tag() != before


@pytest.mark.parametrize("name", image.COMMANDS)
def test_each_image_starts_a_program_that_is_there(name: str) -> None:
    program = image.COMMANDS[name][-1].removeprefix("api/")
    assert (image.SOURCE / program).is_file()


def test_what_the_registry_holds_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "build", nothing_to_build)
    references = image.publish(tmp_path, {name: FakeRepository() for name in image.COMMANDS}, print)
    assert references["librechat-rag"] == f"10.77.0.1:5000/librechat-rag@{DIGEST}"
    assert (tmp_path / "librechat-search.image").read_text() == f"10.77.0.1:5000/librechat-search@{DIGEST}\n"


def test_where_one_is_missing_all_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "build", nothing_to_build)
    repositories = {name: FakeRepository(held=name != "librechat-rag") for name in image.COMMANDS}
    with pytest.raises(BackendError, match="built"):
        image.publish(tmp_path, repositories, print)


def failing(error: str) -> Callable[[Path], None]:
    def fail(root: Path) -> None:
        (root / "half").mkdir(parents=True)
        raise BackendError(error)

    return fail


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "make_root", failing("npm ci failed"))
    with pytest.raises(BackendError, match="npm ci failed"):
        image.publish(tmp_path, {"librechat": FakeRepository(held=False)}, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image, "REGISTRY", "127.0.0.1:1")  # reserved: nothing listens there
    assert image.main([str(tmp_path)]) == 1
    assert "registry 127.0.0.1:1 does not answer" in capsys.readouterr().err
