"""The clouds of an inventory, each named once: who provides it, where its API is, and what opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parrotpark.cloud.box import Box
from parrotpark.cloud.errors import AuthFailed, InvalidRequest

STATIC = "static"  # the provider of machines that are always there

# Where a provider has one API, and what it calls Debian 13
_OWN: Mapping[str, Mapping[str, str]] = {
    "hetzner": {"endpoint": "https://api.hetzner.cloud/v1", "image": "debian-13"},
    "openstack": {"image": "Debian 13"},
    "scaleway": {"endpoint": "https://api.scaleway.com", "image": "debian_trixie"},
}


@dataclass(frozen=True, slots=True)
class Account:
    """How to reach one cloud."""

    name: str
    provider: str
    credential_file: str = ""  # none where nothing is made, and so nothing has to be opened
    endpoint: str | None = None  # URL of its API
    region: str | None = None  # a zone at Scaleway, a region at OpenStack; Hetzner has none
    project: str | None = None  # its id, where a credential does not name one
    image: str | None = None  # that GPU hosts are baked from there
    hosts: tuple[Box, ...] = ()  # machines that are always there, of the provider static
    registry: str | None = None  # file on the entry server that says which of them are claimed

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Account:
        """Take what an inventory says of a cloud; what it leaves out, or None, is the provider's own.

        Raises:
            TypeError: it lacks something, or knows something else.
        """
        said = {key: value for key, value in values.items() if value is not None}
        if said.get("provider") != STATIC and not said.get("credential_file"):
            raise TypeError("credential_file, the file with the cloud's credential, is missing")
        said["hosts"] = tuple(map(Box.of, said.get("hosts", ())))
        return cls(**{**_OWN.get(str(said.get("provider")), {}), **said})

    @property
    def makes(self) -> bool:
        """Whether servers and images are made there."""
        return self.provider != STATIC

    def to_dict(self) -> dict[str, Any]:
        """Write it as an inventory does, whole."""
        said = {**asdict(self), "hosts": [asdict(box) for box in self.hosts]}
        if self.credential_file:
            said["credential_file"] = str(Path(self.credential_file).expanduser())
        return {key: value for key, value in said.items() if value not in (None, "", [])}

    def credential(self) -> str:
        """Read what opens the cloud.

        Raises:
            AuthFailed: the file does not exist, cannot be read or is empty.
        """
        file = self.credential_file
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise AuthFailed(
                f"the credential file {file} of cloud {self.name} does not exist: put the API token of the project "
                "there, or start the local cloud, which makes its own"
            ) from None
        except (OSError, UnicodeError) as error:
            raise AuthFailed(f"the credential file {file} of cloud {self.name} cannot be read: {error}") from error
        if not text:
            raise AuthFailed(f"the credential file {file} of cloud {self.name} is empty: put the API token there")
        return text


def distinct(accounts: Sequence[Account]) -> None:
    """Refuse a name or a project that is there twice: its servers would be seen twice, and one of each pair deleted.

    Raises:
        InvalidRequest: there is one.
        AuthFailed: a credential cannot be read.
    """
    seen: dict[object, str] = {}
    for account in accounts:
        where = (account.provider, account.endpoint, account.region, account.project)
        for key in (account.name, *([(where, account.credential())] if account.makes else [])):
            if other := seen.get(key):
                raise InvalidRequest(
                    f"clouds {other} and {account.name} of parrotpark_clouds have the same name or project: "
                    "name each once"
                )
            seen[key] = account.name


def named(accounts: Sequence[Account], name: str) -> Account:
    """Choose a cloud by its name.

    Raises:
        InvalidRequest: there is no such cloud.
    """
    for account in accounts:
        if account.name == name:
            return account
    known = ", ".join(account.name for account in accounts) or "none"
    raise InvalidRequest(f"cloud {name!r} is not in parrotpark_clouds, which has: {known}")
