"""Where people sign in: at our own Keycloak or, where the inventory names an issuer, there and at none of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parrotpark.control import front

KEYCLOAK = "keycloak"

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
