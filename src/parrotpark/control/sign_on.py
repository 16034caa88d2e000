"""Where people sign in: at our own Keycloak or, where the inventory names an issuer, there and at none of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from parrotpark.control import front

KEYCLOAK = "keycloak"
ADMIN = "admin"  # the role of our own realm that makes administrators

type Provider = Mapping[str, Any]


def provider(own: Provider, theirs: Provider) -> Provider:
    """Return whichever counts, all of it: a secret of ours is never shown to an issuer of theirs."""
    return theirs if theirs["issuer"] else own


def databases(known: Sequence[Mapping[str, Any]], issuer: str) -> list[Mapping[str, Any]]:
    """List the databases that there are; an issuer has its own."""
    return [database for database in known if not issuer or database["name"] != KEYCLOAK]


def addresses(domain: str, port: int, issuer: str) -> list[str]:
    """List where our own Keycloak answers."""
    return [] if issuer else front.addresses(domain, port)


def problems(
    chat: str, issuer: str, roles: Mapping[str, Sequence[str]], groups: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Say in a line each what of the inputs lets in others than it says; `roles` by the input that names them."""
    if issuer and chat == "librechat":
        for name, values in roles.items():
            if len(values) > 1:
                yield f"{name} names {', '.join(values)}, but LibreChat knows one: give one, or take open_webui"
    if not issuer and all(ADMIN in group["roles"] for group in groups):
        yield "parrotpark_groups: all make administrators, which the account that checks the chat must not be: add one"


def first_ordinary(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the first group that makes no administrators; empty if there is none, which is refused."""
    return next((str(group["name"]) for group in groups if ADMIN not in group["roles"]), "")
