"""What Ansible's modules bring is compiled once, and is the same code as Python would have compiled."""

from __future__ import annotations

import marshal
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from zipimport import zipimporter

import pytest

MODULES = {
    "package": ("package/__init__.py", "here = 1\n"),
    "package.module": ("package/module.py", "from package import here\r\nthere = here + 1\r\n"),
}


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The file as Python imports it, with a folder of the test's own."""
    monkeypatch.syspath_prepend("roles/base/files")
    monkeypatch.setattr(sys, "path_hooks", [*sys.path_hooks])
    import ansible_archives  # type: ignore[import-not-found]

    monkeypatch.setattr(ansible_archives, "KEPT", str(tmp_path / "kept"))
    yield ansible_archives
    del sys.modules["ansible_archives"]


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """An archive, named as Ansible names them."""
    path = tmp_path / "ansible_stat_payload.zip"
    send(path)
    return path


def send(path: Path, also: str = "") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in MODULES.values():
            archive.writestr(name, source + also)


def importer(archives: ModuleType, sent: Path, module: str) -> zipimporter:
    found = archives.archive(str(sent / Path(MODULES[module][0]).parent if "." in module else sent))
    assert isinstance(found, zipimporter)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_it_says_of_a_module_what_python_says(archives: ModuleType, sent: Path, module: str) -> None:
    ours = importer(archives, sent, module)
    theirs = zipimporter(f"{ours.archive}/{ours.prefix}".rstrip("/"))
    assert ours.get_filename(module) == theirs.get_filename(module) == str(sent / MODULES[module][0])
    assert ours.is_package(module) == theirs.is_package(module)
    for _ in ("compiled", "kept"):
        assert ours.get_code(module) == theirs.get_code(module)


def test_what_was_compiled_once_is_not_compiled_again(
    archives: ModuleType, sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = importer(archives, sent, "package").get_code("package")
    monkeypatch.setattr(archives, "compile", lambda *_, **__: pytest.fail("compiled again"), raising=False)
    assert importer(archives, sent, "package").get_code("package") == code
    folder = Path(archives.KEPT)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1


def test_what_was_changed_is_compiled(archives: ModuleType, sent: Path) -> None:
    before = importer(archives, sent, "package").get_code("package")
    other = sent.with_name("ansible_copy_payload.zip")
    send(other, also="more = 2\n")
    after = importer(archives, other, "package").get_code("package")
    assert after != before
    assert after.co_names == ("here", "more")


@pytest.mark.parametrize("spoiled", [b"", b"\0", marshal.dumps("no code")[:-1]])
def test_what_was_cut_off_is_compiled(archives: ModuleType, sent: Path, spoiled: bytes) -> None:
    code = importer(archives, sent, "package").get_code("package")
    (kept,) = Path(archives.KEPT).iterdir()
    kept.write_bytes(spoiled)
    assert importer(archives, sent, "package").get_code("package") == code
    assert kept.read_bytes() == marshal.dumps(code)


def test_without_a_place_to_keep_it_all_is_as_without_this(
    archives: ModuleType, sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "KEPT", str(sent / "no-folder"))
    code = importer(archives, sent, "package").get_code("package")
    assert code == zipimporter(str(sent)).get_code("package")


@pytest.mark.parametrize("path", ["/usr/lib/python3.13", "/usr/lib/python313.zip", ""])
def test_all_else_is_left_to_python(archives: ModuleType, path: str) -> None:
    with pytest.raises(ImportError):
        archives.archive(path)
    assert sys.path_hooks[0] is archives.archive
