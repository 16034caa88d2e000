"""Keeps the secrets in one encrypted YAML file; the caller brings the cipher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import yaml

from parrotpark.control.secrets.catalogue import SecretsError
from parrotpark.shared.files import write_file

_HEADER = "# Made by Parrotpark; names that it does not know are kept. Edit with `ansible-vault edit`.\n"


class Cipher(Protocol):
    def encrypt(self, text: str) -> bytes:
        """Encrypt; raises `SecretsError` if there is no password."""

    def decrypt(self, content: bytes) -> str:
        """Decrypt; raises `SecretsError` if the password is wrong."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines, such as keys, as people write it."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def read(path: Path, cipher: Cipher) -> Mapping[str, object]:
    """Return the variables of the file; none if the file does not exist.

    Raises:
        SecretsError: it cannot be read, opened with this password, or understood.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SecretsError(f"{path} cannot be read: {error.strerror}; run as the user who made it") from error
    try:
        values = yaml.safe_load(cipher.decrypt(content))
    except yaml.YAMLError:
        # The error quotes the text, so it is not passed on.
        raise SecretsError(f"the content of {path} is not YAML: repair it with `ansible-vault edit {path}`") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SecretsError(f"the content of {path} is not a mapping: repair it with `ansible-vault edit {path}`")
    return values


def write(path: Path, values: Mapping[str, object], cipher: Cipher) -> None:
    """Replace the content by these variables, atomically, readable by the owner only.

    Raises:
        SecretsError: the file cannot be written.
    """
    text = _HEADER + yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    content = cipher.encrypt(text)
    try:
        write_file(path, content, 0o600)
    except OSError as error:
        raise SecretsError(f"{path} cannot be written: {error.strerror}") from error
