"""People sign in at the provider, which says what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

from tests.browser import Answer, Curl
from tests.open_webui import CHAT, sql

type Ask = Callable[..., Any]
type Enter = Callable[[str], Answer]

PROVIDER = "https://auth.parrotpark.example:8443"
GRACE = "grace@parrotpark.example"


def accounts(host: Host, person: str) -> list[str]:
    return sql(host, "SELECT role FROM \"user\" WHERE email = :'id' || '@parrotpark.example'", person).splitlines()


def test_the_page_sends_people_to_the_provider(ask: Ask, curl: Curl) -> None:
    sent = curl(f"{CHAT}/oauth/oidc/login")
    assert sent.status == 302
    assert sent.headers["location"].startswith(f"{PROVIDER}/auth?")
    said = ask("/api/config")
    assert said["oauth"]["providers"] == {"oidc": "The county"}
    assert said["oauth"]["auto_redirect"] is True
    assert said["features"]["enable_login_form"] is False


def test_no_password_lets_anybody_in(ask: Ask, new_password: Callable[[str], str]) -> None:
    said = ask("/api/v1/auths/signin", {"email": GRACE, "password": new_password(GRACE)})
    assert "restricted" in said["detail"]  # of a wrong one it says something else


def test_who_signs_in_is_whom_the_provider_knows(ask: Ask, enter: Enter) -> None:
    ada = ask("/api/v1/auths/", token=enter("ada").cookies["token"])
    assert (ada["email"], ada["name"], ada["role"]) == ("ada@parrotpark.example", "Ada", "user")


def test_the_first_administrator_has_one_account(host: Host, ask: Ask, enter: Enter) -> None:
    enter("ada")  # Whoever is alone is made the administrator.
    grace = ask("/api/v1/auths/", token=enter("grace").cookies["token"])
    assert (grace["name"], grace["role"]) == ("Grace", "admin")
    assert accounts(host, "grace") == ["admin"]
    assert sql(host, 'SELECT id FROM "user" ORDER BY created_at LIMIT 1') == grace["id"]


def test_who_has_no_role_of_ours_is_refused(host: Host, enter: Enter) -> None:
    refused = enter("mallory")
    assert "token" not in refused.cookies
    assert "/auth?error=" in refused.headers["location"]
    assert accounts(host, "mallory") == []


def test_who_has_no_role_at_all_waits(host: Host, ask: Ask, enter: Enter) -> None:
    eve = enter("eve").cookies["token"]
    assert accounts(host, "eve") == ["pending"]
    assert "data" not in ask("/api/models", token=eve)


def test_signing_out_ends_the_session_at_the_provider(ask: Ask, curl: Curl, enter: Enter) -> None:
    there = ("--resolve", "auth.parrotpark.example:8443:127.0.0.1")
    here = enter("ada")
    said = curl(f"{CHAT}/api/v1/auths/signout", "--request", "POST", "--cookie", here.cookie).json
    before = len(curl(f"{PROVIDER}/ended", *there).json)
    assert curl(said["redirect_url"], *there).headers["location"] == "https://chat.parrotpark.example"
    assert curl(f"{PROVIDER}/ended", *there).json[before:] == ["ada"]
    assert "detail" in ask("/api/v1/auths/", token=here.cookies["token"])
