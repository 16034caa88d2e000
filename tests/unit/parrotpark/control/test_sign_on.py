"""Ours or theirs, and nothing of both."""

from __future__ import annotations

import pytest

from parrotpark.control.sign_on import addresses, databases, first_ordinary, problems, provider

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


STAFF, ADMINS = {"name": "staff", "roles": ["user"]}, {"name": "admins", "roles": ["user", "admin"]}
TWO, ONE = {"some_roles": ["staff", "teachers"]}, {"some_roles": ["staff"]}


@pytest.mark.parametrize(
    ("chat", "issuer", "roles", "groups", "said"),
    [
        ("librechat", ISSUER, TWO, [STAFF], "some_roles names staff, teachers, but LibreChat knows one"),
        ("librechat", ISSUER, ONE, [], ""),
        ("librechat", "", TWO, [ADMINS, STAFF], ""),
        ("open_webui", ISSUER, TWO, [], ""),
        ("open_webui", "", ONE, [ADMINS], "parrotpark_groups: all make administrators"),
        ("open_webui", "", ONE, [], "parrotpark_groups: all make administrators"),
    ],
)
def test_what_would_let_in_others_than_it_says_is_refused(
    chat: str, issuer: str, roles: dict[str, list[str]], groups: list[dict[str, object]], said: str
) -> None:
    lines = list(problems(chat, issuer, roles, groups))
    assert [line.startswith(said) for line in lines] == ([True] if said else [])


def test_the_account_that_checks_is_no_administrator() -> None:
    assert first_ordinary([ADMINS, STAFF]) == "staff"
    assert first_ordinary([ADMINS]) == ""
