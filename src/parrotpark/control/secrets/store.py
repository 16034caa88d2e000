"""Keeps the secrets in one encrypted YAML file; whose cipher that is, the caller says."""

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
        """Encrypt; raises `SecretsError` where there is no password."""

    def decrypt(self, content: bytes) -> str:
        """Decrypt; raises `SecretsError` where the password is wrong."""


class _Dumper(yaml.SafeDumper):
    """Writes keys of several lines as people write them."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def read(path: Path, cipher: Cipher) -> Mapping[str, object]:
    """Return the variables of the file; a file that is not there holds none.

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
        raise SecretsError(f"{path} is not YAML inside: repair it with `ansible-vault edit {path}`") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SecretsError(f"{path} is not a mapping of variables inside: repair it with `ansible-vault edit {path}`")
    return values


def write(path: Path, values: Mapping[str, object], cipher: Cipher) -> None:
    """Replace the file by these variables, all at once and for its owner only.

    Raises:
        SecretsError: the file cannot be written.
    """
    text = _HEADER + yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    content = cipher.encrypt(text)
    try:
        write_file(path, content, 0o600)
    except OSError as error:
        raise SecretsError(f"{path} cannot be written: {error.strerror}") from error
