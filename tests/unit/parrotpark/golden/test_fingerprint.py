"""The fingerprint changes with everything that shapes a GPU host, and with nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from parrotpark.golden import fingerprint as module
from parrotpark.golden.fingerprint import Fingerprint, FingerprintError, changed_parts, fingerprint
from parrotpark.shared.lease import MAX_LENGTH

ROOT = Path(__file__).parents[4]
VALUES: dict[str, object] = {"image": "debian-13", "models": [{"name": "a"}]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    role = tmp_path / "roles/vllm"
    (role / "tasks").mkdir(parents=True)
    (role / "tasks/main.yml").write_text("---\n")
    (role / "README.md").write_text("about\n")
    (tmp_path / "join.py").write_text("pass\n")
    return tmp_path


def of(root: Path, values: dict[str, object] = VALUES) -> Fingerprint:
    return fingerprint(root, ["roles/vllm", "join.py"], values)


def test_it_fits_on_labels_and_is_always_the_same(root: Path) -> None:
    found = of(root)
    assert re.fullmatch(r"[0-9a-f]{32}", found.whole)
    assert found.parts.keys() == {"vllm", "join", "image", "models"}
    assert all(re.fullmatch(r"[0-9a-f]{12}", digest) for digest in found.parts.values())
    assert found.part_labels()["parrotpark-part-vllm"] == found.parts["vllm"]
    assert all(len(each) <= MAX_LENGTH for label in found.part_labels().items() for each in label)
    assert of(root) == of(root)
    assert of(root) == fingerprint(root, ["join.py", "roles/vllm", "join.py"], dict(reversed(VALUES.items())))


def test_content_names_and_permissions_count(root: Path) -> None:
    seen = {of(root).whole}
    (root / "roles/vllm/tasks/main.yml").write_text("- name: other\n")
    seen.add(of(root).whole)
    (root / "roles/vllm/tasks/main.yml").rename(root / "roles/vllm/tasks/install.yml")
    seen.add(of(root).whole)
    (root / "join.py").chmod(0o755)
    seen.add(of(root).whole)
    (root / "roles/vllm/new").touch()
    seen.add(of(root).whole)
    assert len(seen) == 5


def test_values_count(root: Path) -> None:
    assert of(root).whole != of(root, {**VALUES, "image": "debian-14"}).whole


def test_the_parts_that_changed_are_named(root: Path) -> None:
    before = of(root)
    assert changed_parts(before.part_labels(), before) == []
    (root / "join.py").write_text("other\n")
    after = of(root, {"models": [{"name": "b"}], "new": 1})
    labels = {**before.part_labels(), "parrotpark-role": "gpu-image"}
    assert changed_parts(labels, after) == ["image", "join", "models", "new"]
    assert changed_parts({}, after) == ["join", "models", "new", "vllm"]


def test_what_has_one_name_is_one_part(root: Path) -> None:
    (root / "roles/join").mkdir()
    (root / "roles/join/main.yml").touch()
    paths = ["join.py", "roles/join"]
    both = fingerprint(root, paths, {})
    assert both.parts.keys() == {"join"}
    assert both == fingerprint(root, [str(root / "join.py"), "roles/join"], {})
    (root / "roles/join/main.yml").write_text("---\n")
    changed = fingerprint(root, paths, {})
    assert changed_parts(both.part_labels(), changed) == ["join"]
    (root / "join.py").write_text("other\n")
    assert changed_parts(changed.part_labels(), fingerprint(root, paths, {})) == ["join"]


def test_weights_count_by_content_and_large_ones_by_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUICKLY_READ", 4)
    small, large = tmp_path / "model/config.json", tmp_path / "model/deep/weights"
    large.parent.mkdir(parents=True)
    small.write_text("1234")
    large.write_text("12345")

    def whole() -> str:
        return fingerprint(tmp_path, [], {"weights": {"folders": [str(tmp_path / "model")]}}).whole

    first = whole()
    os.utime(small, ns=(1, 1))
    assert whole() == first
    small.write_text("4321")
    second = whole()
    os.utime(large, ns=(1, 1))
    third = whole()
    large.rename(large.with_name("other"))
    assert len({first, second, third, whole()}) == 4


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FingerprintError, match="/gone shapes a GPU host, but does not exist"):
        fingerprint(tmp_path, [], {"weights": {"folders": [str(tmp_path / "gone")]}})


def test_the_place_of_the_checkout_and_documentation_do_not_count(root: Path) -> None:
    before = of(root)
    (root / "roles/vllm/README.md").write_text("more about\n")
    (root / "roles/vllm/meta").mkdir()
    (root / "roles/vllm/meta/argument_specs.yml").write_text("argument_specs: {}\n")
    (root / "roles/vllm/tasks/main.yml").write_text("# What the spec says of it.\n---\n")
    (root / "roles/vllm/__pycache__").mkdir()
    (root / "roles/vllm/__pycache__/x.pyc").write_bytes(b"x")
    moved = root.parent / "moved"
    root.rename(moved)
    assert of(moved) == before


def test_a_comment_counts_where_it_is_no_yaml(root: Path) -> None:
    before = of(root)
    (root / "join.py").write_text("# other\npass\n")
    assert of(root) != before


@pytest.mark.parametrize(
    "text", ["a: !vault |\n  x\n", "a: '{{ b }}'\n", "- !unsafe x\n", "{{ no yaml }}: [\n", "a: 1\n"]
)
def test_whatever_stands_in_a_yaml_file_counts(root: Path, text: str) -> None:
    seen = {of(root).whole}
    (root / "roles/vllm/tasks/main.yml").write_text(text)
    seen.add(of(root).whole)
    (root / "roles/vllm/tasks/main.yml").write_text(text.replace("a", "c").replace("x", "y").replace("no", "any"))
    seen.add(of(root).whole)
    assert len(seen) == 3


def test_the_same_comes_out_without_the_compiled_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = fingerprint(ROOT, ["roles", "playbooks"], {})
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert fingerprint(ROOT, ["roles", "playbooks"], {}) == compiled


def test_roles_that_shape_a_host_take_no_other_role_with_them() -> None:
    """What `meta` says does not count; a dependency would shape the host."""
    assert [
        path for path in ROOT.glob("roles/*/meta/main.yml") if yaml.safe_load(path.read_text()).get("dependencies")
    ] == []


def test_what_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(FingerprintError, match="roles/gone shapes a GPU host, but does not exist"):
        fingerprint(root, ["roles/gone"], {})


def test_values_must_be_json(root: Path) -> None:
    with pytest.raises(FingerprintError, match="is not JSON"):
        fingerprint(root, [], {"image": object()})
