"""The fingerprint changes with everything that shapes a GPU host, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from parrotpark.fingerprint import FingerprintError, fingerprint

VALUES: dict[str, object] = {"image": "debian-13", "models": [{"name": "a"}]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    role = tmp_path / "roles/vllm"
    (role / "tasks").mkdir(parents=True)
    (role / "tasks/main.yml").write_text("---\n")
    (role / "README.md").write_text("about\n")
    (tmp_path / "join.py").write_text("pass\n")
    return tmp_path


def of(root: Path, values: dict[str, object] = VALUES) -> str:
    return fingerprint(root, ["roles/vllm", "join.py"], values)


def test_it_is_short_enough_for_a_label_and_always_the_same(root: Path) -> None:
    assert len(of(root)) == 32
    assert of(root) == of(root)
    assert of(root) == fingerprint(root, ["join.py", "roles/vllm", "join.py"], dict(reversed(VALUES.items())))


def test_content_names_and_permissions_count(root: Path) -> None:
    seen = {of(root)}
    (root / "roles/vllm/tasks/main.yml").write_text("--- # other\n")
    seen.add(of(root))
    (root / "roles/vllm/tasks/main.yml").rename(root / "roles/vllm/tasks/install.yml")
    seen.add(of(root))
    (root / "join.py").chmod(0o755)
    seen.add(of(root))
    (root / "roles/vllm/new").touch()
    seen.add(of(root))
    assert len(seen) == 5


def test_values_count(root: Path) -> None:
    assert of(root) != of(root, {**VALUES, "image": "debian-14"})


def test_the_place_of_the_checkout_and_documentation_do_not_count(root: Path) -> None:
    before = of(root)
    (root / "roles/vllm/README.md").write_text("more about\n")
    (root / "roles/vllm/__pycache__").mkdir()
    (root / "roles/vllm/__pycache__/x.pyc").write_bytes(b"x")
    moved = root.parent / "moved"
    root.rename(moved)
    assert of(moved) == before


def test_what_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(FingerprintError, match="roles/gone shapes a GPU host, but does not exist"):
        fingerprint(root, ["roles/gone"], {})


def test_values_must_be_json(root: Path) -> None:
    with pytest.raises(FingerprintError, match="is no JSON"):
        fingerprint(root, [], {"image": object()})
