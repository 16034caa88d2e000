"""Compile what Ansible's modules bring once per host: that is half of the processor time that a task takes there.

A module comes as an archive of sources. Python keeps no bytecode of an archive, and compiles each of its sources twice:
zipimport compiles also to tell the name of a file. The .pth file beside this loads it whenever Python starts.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import MAGIC_NUMBER  # changes with each Python whose bytecode is another
from zipimport import zipimporter

TYPE_CHECKING = False  # as typing itself would take longer to import than the rest of this
if TYPE_CHECKING:
    from types import CodeType

KEPT = "/run/ansible"  # until the next boot, so that nothing old piles up; nobody but root could make it


class Archive(zipimporter):
    """An archive of sources, of which only those are compiled whose bytecode is not kept yet."""

    def get_filename(self, fullname: str) -> str:
        """Return the path of a module."""
        within = "/__init__" if self.is_package(fullname) else ""
        return f"{self.archive}/{self.prefix}{fullname.rpartition('.')[2]}{within}.py"

    def get_code(self, fullname: str) -> CodeType:
        """Return the bytecode of a module."""
        import hashlib
        import marshal
        import os
        from pathlib import Path

        path = self.get_filename(fullname)
        source = self.get_data(path)
        kept = Path(KEPT, hashlib.sha256(MAGIC_NUMBER + source).hexdigest())
        code: CodeType
        try:
            code = marshal.loads(kept.read_bytes())  # noqa: S302 - what root has written
        except (OSError, EOFError, ValueError, TypeError):
            code = compile(source, path, "exec", dont_inherit=True)
            written = kept.with_suffix(f".{os.getpid()}")
            try:
                kept.parent.mkdir(mode=0o700, exist_ok=True)
                written.write_bytes(marshal.dumps(code))
                written.replace(kept)
            except OSError:
                """Only root may keep it, where there is space: otherwise it is compiled again the next time."""
        return code


def archive(path: str) -> Archive:
    """Take what Ansible has sent, and leave all else to Python."""
    if "_payload.zip" not in path:
        raise ImportError(path)
    return Archive(path)


sys.path_hooks.insert(0, archive)
