"""The chat's image is built once for the same inputs, and anew for any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from localcloud.core.backend import BackendError
from localcloud.demo.stand_ins import oci, open_webui_image

DIGEST = "sha256:" + "0" * 64
LOCK = "aiohttp==3.14.5 \\\n    --hash=sha256:00\nopen-webui==0.12.4 \\\n    --hash=sha256:11\n"


@dataclass(frozen=True)
class FakeRepository(oci.Repository):
    """A registry that holds what it is told to."""

    registry: str = "10.77.0.1:5000"
    name: str = "open-webui"
    held: dict[str, str] = field(default_factory=dict)

    def digest(self, tag: str) -> str | None:
        return self.held.get(tag)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return path


def test_the_real_lock_names_a_version() -> None:
    assert open_webui_image.version(open_webui_image.LOCK.read_text()) == "0.12.4"


def test_the_real_lock_leaves_torch_out_and_brings_pgvector() -> None:
    names = {line.partition("==")[0] for line in open_webui_image.LOCK.read_text().splitlines() if "==" in line}
    assert "torch" not in names
    assert {"pgvector", "psycopg2-binary"} <= names


@pytest.mark.parametrize("constant", ["SUITE", "PYTHON", "PACKAGES", "UNREAD", "CONFIG", "START"])
def test_whatever_shapes_the_image_is_in_its_tag(monkeypatch: pytest.MonkeyPatch, constant: str) -> None:
    before = open_webui_image.tag(LOCK)
    monkeypatch.setattr(open_webui_image, constant, "other")
    assert open_webui_image.tag(LOCK) != before


def test_the_lock_is_in_the_tag() -> None:
    assert open_webui_image.tag(LOCK) == open_webui_image.tag(LOCK)
    assert open_webui_image.tag(LOCK) != open_webui_image.tag(LOCK.replace("3.14.5", "3.14.6"))
    assert open_webui_image.tag(LOCK).startswith("0.12.4-")


def test_what_the_registry_holds_is_not_built(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    repository = FakeRepository(held={open_webui_image.tag(LOCK): DIGEST})
    reference = open_webui_image.publish(tmp_path / "artifacts", lock, repository, said.append)
    assert reference == f"10.77.0.1:5000/open-webui@{DIGEST}"
    assert (tmp_path / "artifacts" / "open-webui.image").read_text().strip() == reference
    assert said == []


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(root: Path, _: Path) -> None:
        (root / "half").mkdir(parents=True)
        raise BackendError("mmdebstrap failed: no space left on device")

    monkeypatch.setattr(open_webui_image, "make_root", fail)
    with pytest.raises(BackendError, match="no space left"):
        open_webui_image.publish(tmp_path / "artifacts", lock, FakeRepository(), lambda _: None)
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_the_command_line_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(open_webui_image, "REGISTRY", "127.0.0.1:1")  # reserved: nothing listens there
    assert open_webui_image.main([str(tmp_path)]) == 1
    assert "registry 127.0.0.1:1 does not answer" in capsys.readouterr().err
