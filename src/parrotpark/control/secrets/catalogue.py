"""The one list of all secrets: their names, what they are for, and how a missing one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from parrotpark.control.secrets.keys import KeyFormatError, SshAlgorithm, WireguardAlgorithm, password

PREFIX = "vault_"
SLOTS = "slots"


class SecretsError(Exception):
    """The secrets cannot be read or written; the message is one line and contains no secret."""


class _Algorithm(Protocol):
    def private(self) -> str: ...

    def public(self, private: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Password:
    """A random text, 43 letters and digits (256 bits)."""

    name: str
    purpose: str
    prefix: str = ""

    def complete(self, known: Mapping[str, str]) -> dict[str, str]:
        return {self.name: known.get(self.name) or self.prefix + password()}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key, and the public key derived from it."""

    name: str
    purpose: str
    algorithm: _Algorithm

    def complete(self, known: Mapping[str, str]) -> dict[str, str]:
        private_name, public_name = f"{self.name}_private_key", f"{self.name}_public_key"
        private = known.get(private_name) or self.algorithm.private()
        try:
            return {private_name: private, public_name: self.algorithm.public(private)}
        except KeyFormatError as error:
            raise SecretsError(f"{PREFIX}{private_name} {error}: remove it to have a new one made") from error


type Secret = Password | KeyPair

SECRETS: tuple[Secret, ...] = (
    Password("postgresql_litellm_password", "owner of the database litellm"),
    Password("postgresql_keycloak_password", "owner of the database keycloak"),
    Password("postgresql_open_webui_password", "owner of the database open_webui"),
    Password("postgresql_librechat_password", "owner of the database librechat"),
    Password("mongodb_admin_password", "MongoDB's administrator"),
    Password("mongodb_librechat_password", "owner of MongoDB's database LibreChat"),
    Password("litellm_master_key", "the gateway's administrator", prefix="sk-"),
    Password("litellm_salt_key", "encrypts credentials in the gateway's database; never change it"),
    Password("keycloak_automation_secret", "the account that programs administer sign-on with"),
    Password("keycloak_people_secret", "the account that invites and erases people"),
    Password("open_webui_oidc_secret", "Open WebUI's account with sign-on"),
    Password("open_webui_secret_key", "signs Open WebUI's sessions"),
    Password("librechat_oidc_secret", "LibreChat's account with sign-on"),
    Password("librechat_oidc_session_secret", "signs what LibreChat keeps of sign-on"),
    Password("librechat_jwt_secret", "signs what LibreChat, its page and its RAG API show one another"),
    Password("librechat_jwt_refresh_secret", "signs LibreChat's sessions"),
    Password("librechat_creds_secret", "encrypts what people entrust to LibreChat; never change it"),
    Password("librechat_search_key", "the key of LibreChat's Meilisearch"),
    Password("open_webui_check_password", "the chat's account that checks whether it answers"),
    Password("vllm_api_key", "bearer key of the model servers"),
    Password("ray_token", "opens Ray on boxes that compute one model together"),
    Password("chat_api_key", "virtual key with which the chat calls the gateway", prefix="sk-"),
    Password("user_api_key", "virtual key of the first person who calls the gateway", prefix="sk-"),
    KeyPair("deploy_ssh", "Ansible's login on all servers", SshAlgorithm()),
    KeyPair("entry_ssh_host", "the entry server's SSH host key", SshAlgorithm()),
    KeyPair("entry_wireguard", "the entry server's end of the overlay", WireguardAlgorithm()),
    KeyPair("bake_ssh_host", "SSH host key of the server that a golden image is baked on", SshAlgorithm()),
)

SLOT_SECRETS: tuple[Secret, ...] = (
    KeyPair("wireguard", "the slot's end of the overlay", WireguardAlgorithm()),
    KeyPair("ssh_host", "the slot's SSH host key", SshAlgorithm()),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """All secrets as `vault_` variables, and the names of those that were missing."""

    values: Mapping[str, object]
    made: tuple[str, ...]


def fill_gaps(existing: Mapping[str, object], slot_names: Sequence[str]) -> Filled:
    """Make what is missing and leave everything else as it is, even what is not ours.

    Slots that are no longer named keep their keys: a slot that comes back is the same as before.

    Raises:
        SecretsError: the value of a known name is not a secret of its kind.
    """
    values = dict(existing)
    made: list[str] = []
    known = {
        name.removeprefix(PREFIX): _text(name, value)
        for name, value in existing.items()
        if name.startswith(PREFIX) and name != PREFIX + SLOTS
    }
    for name, value in _complete(SECRETS, known).items():
        if known.get(name) != value:
            made.append(PREFIX + name)
        values[PREFIX + name] = value

    kept = _mapping(PREFIX + SLOTS, existing.get(PREFIX + SLOTS) or {})
    slots = dict(kept)
    for slot in slot_names:
        where = f"{PREFIX}{SLOTS}.{slot}"
        had = _mapping(where, kept.get(slot) or {})
        known = {name: _text(f"{where}.{name}", value) for name, value in had.items()}
        filled = _complete(SLOT_SECRETS, known)
        made += [f"{where}.{name}" for name, value in filled.items() if known.get(name) != value]
        slots[slot] = {**had, **filled}
    values[PREFIX + SLOTS] = slots
    return Filled(values, tuple(made))


def missing(existing: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """Return what `values` have beyond the existing ones, to be merged into those."""
    found: dict[str, object] = {}
    for name, value in values.items():
        had = existing.get(name)
        if isinstance(value, Mapping) and isinstance(had, Mapping):
            found |= {name: deeper} if (deeper := missing(had, value)) else {}
        elif had != value:
            found[name] = value
    return found


def _complete(secrets: Sequence[Secret], known: Mapping[str, str]) -> dict[str, str]:
    return {name: value for secret in secrets for name, value in secret.complete(known).items()}


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SecretsError(f"{name} is not text: quote it, or remove it to have a new one made")
    return value


def _mapping(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SecretsError(f"{name} is not a mapping: remove it to have a new one made")
    return value
