"""What Ansible's modules bring is compiled once, and is the same code as Python would have compiled."""

from __future__ import annotations

import marshal
import sys
import zipfile
from pathlib import Path
from zipimport import zipimporter

import pytest
from roles.base.files import ansible_archives

MODULES = {
    "package": ("package/__init__.py", "here = 1\n"),
    "package.module": ("package/module.py", "from package import here\r\nthere = here + 1\r\n"),
}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder of bytecode."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(ansible_archives, "KEPT", str(folder))
    return folder


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


def importer(sent: Path, module: str) -> ansible_archives.Archive:
    return ansible_archives.archive(str(sent / Path(MODULES[module][0]).parent if "." in module else sent))


@pytest.mark.parametrize("module", MODULES)
def test_it_says_of_a_module_what_python_says(sent: Path, module: str) -> None:
    ours = importer(sent, module)
    assert isinstance(ours, zipimporter)
    theirs = zipimporter(f"{ours.archive}/{ours.prefix}".rstrip("/"))
    assert ours.get_filename(module) == theirs.get_filename(module) == str(sent / MODULES[module][0])
    assert ours.is_package(module) == theirs.is_package(module)
    for _ in ("compiled", "kept"):
        assert ours.get_code(module) == theirs.get_code(module)


def test_what_was_compiled_once_is_not_compiled_again(sent: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = importer(sent, "package").get_code("package")
    monkeypatch.setattr(ansible_archives, "compile", lambda *_, **__: pytest.fail("compiled again"), raising=False)
    assert importer(sent, "package").get_code("package") == code
    assert kept.stat().st_mode & 0o777 == 0o700
    assert len(list(kept.iterdir())) == 1


def test_what_was_changed_is_compiled(sent: Path) -> None:
    before = importer(sent, "package").get_code("package")
    other = sent.with_name("ansible_copy_payload.zip")
    send(other, also="more = 2\n")
    after = importer(other, "package").get_code("package")
    assert after != before
    assert after.co_names == ("here", "more")


@pytest.mark.parametrize("spoiled", [b"", b"\0", marshal.dumps("no code")[:-1]])
def test_what_was_cut_off_is_compiled(sent: Path, kept: Path, spoiled: bytes) -> None:
    code = importer(sent, "package").get_code("package")
    (file,) = kept.iterdir()
    file.write_bytes(spoiled)
    assert importer(sent, "package").get_code("package") == code
    assert file.read_bytes() == marshal.dumps(code)


def test_without_a_place_to_keep_it_all_is_as_without_this(sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ansible_archives, "KEPT", str(sent / "no-folder"))
    code = importer(sent, "package").get_code("package")
    assert code == zipimporter(str(sent)).get_code("package")


@pytest.mark.parametrize("path", ["/usr/lib/python3.13", "/usr/lib/python313.zip", ""])
def test_all_else_is_left_to_python(path: str) -> None:
    with pytest.raises(ImportError):
        ansible_archives.archive(path)
    assert sys.path_hooks[0] is ansible_archives.archive
