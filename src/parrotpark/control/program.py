"""A program of ours as one file: a zip application (PEP 441) of a module and all that it imports of our package."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

INTERPRETER = "/usr/bin/python3 -I"  # isolated: nothing is imported from the current folder
SOURCES = Path(__file__).resolve().parents[2]
_NEVER_CHANGED = (1980, 1, 1, 0, 0, 0)


def build(module: str, interpreter: str = INTERPRETER) -> bytes:
    """Write a file that `interpreter` runs by calling `main()` of the module, which returns the exit status.

    The same sources give the same bytes: nothing is compressed, as libraries compress differently.

    Raises:
        ImportError: there is no such module.
    """
    start = f"import sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
    archive = io.BytesIO(f"#!{interpreter}\n".encode())
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(zipfile.ZipInfo("__main__.py", _NEVER_CHANGED), start)
        for path in sources(module):
            name = path.relative_to(SOURCES).as_posix()
            file.writestr(zipfile.ZipInfo(name, _NEVER_CHANGED), path.read_bytes())
    return archive.getvalue()


@cache
def sources(module: str) -> tuple[Path, ...]:
    """List the files of our own that the module needs, in order.

    Raises:
        ImportError: there is no such module.
    """
    # Finds nothing elsewhere: libraries are the host's own.
    finder = ModuleFinder(path=[str(SOURCES)])
    finder.import_hook(module)
    return tuple(sorted(Path(file) for found in finder.modules.values() if (file := vars(found)["__file__"])))
