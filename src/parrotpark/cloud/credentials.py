"""Where a cloud's token comes from, and how to name that place when the token is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parrotpark.cloud.errors import AuthFailed


@dataclass(frozen=True, slots=True)
class Credential:
    """A token and the place a person would look for it."""

    token: str = field(repr=False)
    source: str


def read_credential(token_file: str | None, token_env: str | None, environ: Mapping[str, str]) -> Credential:
    """Read a token from a file or from an environment variable.

    Raises:
        AuthFailed: the place is not named, does not exist, cannot be read or is empty.
    """
    if token_file is not None:
        source = f"the token in {token_file}"
        try:
            token = Path(token_file).expanduser().read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise AuthFailed(
                f"the token file {token_file} does not exist: put the API token of the project there, "
                "or start the local cloud, which makes its own"
            ) from None
        except (OSError, UnicodeError) as error:
            raise AuthFailed(f"the token file {token_file} cannot be read: {error}") from error
    elif token_env is not None:
        source = f"the token in the environment variable {token_env}"
        token = environ.get(token_env, "").strip()
    else:
        raise AuthFailed("no token is named: set token_file or token_env")
    if not token:
        raise AuthFailed(f"{source} is empty: put the API token of the project there")
    return Credential(token, source)
