"""Every secret of the local stack, for tests that look where it must not be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from localcloud import paths
from parrotpark.control.secrets import SECRETS_FILE

VAULT = paths.INVENTORY_STATE / SECRETS_FILE
PASSWORD = paths.INVENTORY_STATE / "vault-password"
SHORTEST = 20  # A shorter text may stand somewhere by chance.


class Secrets(dict[str, str]):
    """Texts by their names; only the names are shown, as pytest shows what a test that fails was given."""

    def __repr__(self) -> str:
        return f"Secrets({sorted(self)})"


def files() -> list[Path]:
    """Name the files that hold one secret each: the vault's password, and what the local cloud hands out."""
    return [PASSWORD, *paths.TOKENS.iterdir()]


def read() -> Secrets:
    """Read what the vault holds, and those files."""
    view = ["ansible-vault", "view", "--vault-password-file", str(PASSWORD), str(VAULT)]
    vault = yaml.safe_load(subprocess.run(view, check=True, capture_output=True, text=True).stdout)
    secrets = Secrets(flatten(vault) | {str(file): file.read_text().strip() for file in files()})
    assert len(secrets) > 25
    assert [name for name, text in secrets.items() if len(text) < SHORTEST] == []
    return secrets


def flatten(values: Mapping[str, object]) -> Secrets:
    """Name every secret text by its path; of a key of several lines, the last full one, which has the secret half."""
    return Secrets(_texts("", values))


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if "public" not in key:
                yield from _texts(f"{name}.{key}".strip("."), inner)
    else:
        lines = str(value).strip().splitlines()
        yield name, lines[0] if len(lines) == 1 else lines[-3]
