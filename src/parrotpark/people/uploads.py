"""The files that people have uploaded, where the chat keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Uploads(Protocol):
    """Where uploads are kept; `path` is what the chat's table of files says."""

    def read(self, path: str) -> bytes | None: ...

    def delete(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this host, which the chat in its container knows by another name."""

    folder: Path

    def read(self, path: str) -> bytes | None:
        file = self._file(path)
        return file.read_bytes() if file.exists() else None

    def delete(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self.folder / Path(path).name
