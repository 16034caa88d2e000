"""The two local models are made once, appear whole or not at all, and are made anew when their recipe changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.demo.stand_ins import models


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an installation of the lock would bring; the test is not about fetching it."""
    packages = tmp_path / "packages"
    packages.mkdir()

    def install(environment: Path) -> Path:
        environment.mkdir()
        return packages

    def write(source: Path, folder: Path) -> None:
        (folder / "config.json").write_text(f"from {source.name}")

    monkeypatch.setattr(models, "install", install)
    monkeypatch.setattr(models, "MODELS", {"talker": write, "embedder": write})
    return packages


def test_missing_models_are_made_whole(tmp_path: Path, packages: Path) -> None:
    destination = tmp_path / "models"
    assert models.make(destination) == ["talker", "embedder"]
    assert sorted(path.name for path in destination.iterdir()) == ["embedder", "talker"]
    assert (destination / "talker/config.json").read_text() == f"from {packages.name}"


@pytest.mark.usefixtures("packages")
def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    models.make(tmp_path / "models")
    assert models.make(tmp_path / "models") == []


@pytest.mark.usefixtures("packages")
def test_only_what_another_recipe_made_is_made_anew(tmp_path: Path) -> None:
    models.make(tmp_path / "models")
    (tmp_path / "models/talker" / models.MARK).write_text("an older recipe")
    (tmp_path / "models/talker/left-over").touch()
    assert models.make(tmp_path / "models") == ["talker"]
    assert not (tmp_path / "models/talker/left-over").exists()


@pytest.mark.usefixtures("packages")
def test_a_maker_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_source: Path, folder: Path) -> None:
        (folder / "half").touch()
        raise models.ModelError("no more disk")

    monkeypatch.setattr(models, "MODELS", {"talker": fail})
    with pytest.raises(models.ModelError, match="no more disk"):
        models.make(tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_the_recipe_is_the_content_of_its_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    before = models.recipe_hash([one, two])
    assert models.recipe_hash([one, two]) == before
    two.write_text("3")
    assert models.recipe_hash([one, two]) != before


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(models.ModelError, match="cannot do that"):
        models.run(["sh", "-c", "echo cannot do that; exit 3"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(models.ModelError, match="no-such-program is not installed"):
        models.run(["no-such-program"])
