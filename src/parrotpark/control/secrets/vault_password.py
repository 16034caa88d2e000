"""The password that encrypts an inventory's secrets: made once, in a file for its owner only."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from parrotpark.control.secrets.catalogue import SecretsError


def make(file: Path) -> None:
    """Make the password unless it exists; of two simultaneous first runs one wins, and both then read the same.

    Raises:
        SecretsError: the file or its folder cannot be written.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as written:
                written.write(f"{secrets.token_hex(32)}\n")
            os.link(new, file)  # which never replaces a file
        finally:
            Path(new).unlink()
    except FileExistsError:
        if not file.is_file():
            raise SecretsError(
                f"the vault password {file} cannot be made: it is a folder, or its folder is a file"
            ) from None
    except OSError as error:
        raise SecretsError(f"the vault password {file} cannot be made: {error.strerror}") from error
