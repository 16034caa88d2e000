"""Ours or theirs, and nothing of both."""

from __future__ import annotations

from parrotpark.control.sign_on import addresses, databases, provider

OWN = {"issuer": "https://auth.example.org/realms/x", "client_secret": "ours"}
ISSUER = "https://id.example.org"


def test_a_provider_counts_as_a_whole() -> None:
    assert provider(OWN, {"issuer": "", "client_secret": "theirs"}) == OWN
    assert provider(OWN, {"issuer": ISSUER, "client_secret": ""}) == {"issuer": ISSUER, "client_secret": ""}


def test_an_issuer_needs_no_database_and_no_name_of_ours() -> None:
    known = [{"name": "keycloak"}, {"name": "litellm"}]
    assert (databases(known, ""), databases(known, ISSUER)) == (known, [{"name": "litellm"}])
    assert addresses("auth.example.org", 8443, "") == ["auth.example.org", "auth.example.org:8443"]
    assert addresses("auth.example.org", 8443, ISSUER) == []
