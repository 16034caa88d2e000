"""Who gets in, and for how long."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from testinfra.host import Host

type Ask = Callable[..., Any]

ADMIN = "admin@parrotpark.example"
ACCOUNT = {"email": "check@parrotpark.example", "password": "the-account-password-of-the-test"}


def test_the_account_of_a_program_is_an_ordinary_user(ask: Ask) -> None:
    assert ask("/api/v1/auths/signin", ACCOUNT)["role"] == "user"


@pytest.fixture
def ada(ask: Ask, token: str) -> Iterator[dict[str, str]]:
    person = {"name": "Ada", "email": f"{uuid4()}@parrotpark.example", "password": "forgotten for ever", "role": "user"}
    added = ask("/api/v1/auths/add", person, token)
    yield person
    ask(f"/api/v1/users/{added['id']}", token=token, method="DELETE")


def test_a_new_password_ends_the_sessions_of_the_old_one(
    ask: Ask, ada: dict[str, str], new_password: Callable[[str], str]
) -> None:
    old = ask("/api/v1/auths/signin", ada)["token"]
    new = ask("/api/v1/auths/signin", {**ada, "password": new_password(ada["email"])})["token"]
    assert "detail" in ask("/api/v1/auths/", token=old)
    assert ask("/api/v1/auths/", token=new)["email"] == ada["email"]
    assert "detail" in ask("/api/v1/auths/signin", ada)


def test_an_account_that_is_not_there_gets_no_password(new_password: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError, match=r"there is no account nobody@parrotpark\.example"):
        new_password("nobody@parrotpark.example")


def test_a_session_lasts_a_working_day(ask: Ask) -> None:
    claims = ask("/api/v1/auths/signin", ACCOUNT)["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert claims["exp"] - claims["iat"] == 12 * 3600


def test_signing_out_ends_the_sessions(ask: Ask) -> None:
    one, other = (ask("/api/v1/auths/signin", ACCOUNT)["token"] for _ in range(2))
    assert ask("/api/v1/auths/", token=other)["email"] == ACCOUNT["email"]
    assert ask("/api/v1/auths/signout", {}, one) == {"status": True}
    time.sleep(2)  # done behind the answer
    assert ["detail" in ask("/api/v1/auths/", token=token) for token in (one, other)] == [True, True]
    assert "token" in ask("/api/v1/auths/signin", ACCOUNT)


@pytest.mark.parametrize("password", ["x", "elevenchars"])
def test_a_short_password_is_refused_in_words(ask: Ask, token: str, password: str) -> None:
    person = {"name": "Bob", "email": "bob@parrotpark.example", "password": password, "role": "user"}
    assert "at least 12 characters" in ask("/api/v1/auths/add", person, token)["detail"]
    change = {"password": ACCOUNT["password"], "new_password": password}
    session = ask("/api/v1/auths/signin", ACCOUNT)["token"]
    assert "at least 12 characters" in ask("/api/v1/auths/update/password", change, session)["detail"]


def test_the_service_knows_no_password_of_an_account(host: Host, ask: Ask) -> None:
    seen = host.check_output(
        "podman inspect open-webui; tr '\\0' '\\n' < /proc/$(podman inspect -f '{{.State.Pid}}' open-webui)/environ"
    )
    assert ACCOUNT["password"] not in seen
    made_up = next(line.partition("=")[2] for line in seen.splitlines() if line.startswith("WEBUI_ADMIN_PASSWORD="))
    assert "detail" in ask("/api/v1/auths/signin", {"email": ADMIN, "password": made_up})
