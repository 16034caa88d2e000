"""The ends of the leases, published to the GPU hosts: one small file for every slot, served on the overlay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from parrotpark.shared.files import differs, write_file


class Leases:
    """A folder with a file for every slot that has a server: the end of its lease in epoch seconds.

    A slot of a box always has one, as a missing file says nothing: this machine may have booted just now.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sync(self, ends: Mapping[str, int], keep: Collection[str] = ()) -> None:
        """Make the folder hold exactly these, and leave the files of the slots in `keep` as they are.

        Raises:
            OSError: it cannot be written.
        """
        for slot, until in ends.items():
            self.write(slot, until)
        for path in self._folder.glob("*"):
            if path.name not in ends and path.name not in keep:
                path.unlink(missing_ok=True)

    def write(self, slot: str, until: int) -> None:
        """Tell the host in the slot until when it may live; raises as `sync`."""
        # Readable by all: the web server that serves it runs as another user.
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        content = f"{until}\n".encode()
        if differs(self._folder / slot, content, 0o644):
            write_file(self._folder / slot, content, 0o644)
