"""The arguments with which Ansible modules reach clouds, and the clouds that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parrotpark.cloud import PROVIDERS, Account, Cloud, Offer, connect

CLOUDS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "name": {"required": True},
        "provider": {"required": True, "choices": list(PROVIDERS)},
        "credential_file": {"type": "path", "required": True, "no_log": False},
        "endpoint": {},
        "region": {},
        "project": {},
        "image": {},
    },
}
OFFERS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {name: {"required": True} for name in ("cloud", "location", "server_type")},
}


def accounts_of(params: Mapping[str, Any]) -> tuple[Account, ...]:
    """Return the accounts that a module's parameters name."""
    return tuple(map(Account.of, params["clouds"]))


def clouds_of(params: Mapping[str, Any]) -> tuple[Cloud, ...]:
    """Return the clouds that a module's parameters name.

    Raises:
        CloudError: a credential cannot be read.
    """
    return tuple(map(connect, accounts_of(params)))


def offers_of(params: Mapping[str, Any]) -> tuple[Offer, ...]:
    """Return the offers that a module's parameters name, in their order."""
    return tuple(Offer(**offer) for offer in params["offers"])
