"""People sign in at the provider, chat, keep files, and are gone when they sign out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from testinfra.host import Host

from tests.browser import Answer, Curl, come_back

CHAT = "http://127.0.0.1:3080"
WAY_IN = f"{CHAT}/oauth/openid"


@dataclass(frozen=True)
class Person:
    """Somebody whose browser is signed in."""

    cookie: str
    token: str
    curl: Curl

    def ask(self, method: str, path: str, *arguments: str, given: str = "") -> Answer:
        who = f"Authorization: Bearer {self.token}"
        return self.curl(f"{CHAT}{path}", "--request", method, "--header", who, *arguments, given=given)


@pytest.fixture(scope="module")
def sign_in(curl: Curl) -> Callable[[str], Person]:
    def sign_in(person: str) -> Person:
        cookie = come_back(curl, WAY_IN, person).cookie
        token = curl(f"{CHAT}/api/auth/refresh", "--request", "POST", "--cookie", cookie).json["token"]
        return Person(cookie, token, curl)

    return sign_in


@pytest.fixture(scope="module")
def ada(sign_in: Callable[[str], Person]) -> Person:
    return sign_in("ada")


def say(person: Person, text: str, *files: str) -> Answer:
    return person.ask("POST", "/api/agents/chat", "--data", json.dumps({"text": text, "files": files}))


def upload(person: Person, content: str, kind: str = "text/plain") -> Answer:
    return person.ask("POST", "/api/files", "--form", f"file=@-;filename=rathaus.txt;type={kind}", given=content)


def test_the_page_sends_people_to_the_provider(curl: Curl) -> None:
    assert curl(f"{CHAT}/").headers["location"] == "/login"
    assert curl(f"{CHAT}/login").headers["location"] == "/oauth/openid"
    assert curl(WAY_IN).headers["location"].startswith("https://localhost:8443/auth?")
    assert curl(f"{CHAT}/api/config").json["emailLoginEnabled"] is False


def test_who_has_signed_in_is_known_by_the_provider(curl: Curl, ada: Person) -> None:
    user = curl(f"{CHAT}/api/auth/refresh", "--request", "POST", "--cookie", ada.cookie).json["user"]
    assert (user["email"], user["role"], user["provider"]) == ("ada@parrotpark.example", "USER", "openid")


def test_the_role_of_administrators_makes_one(curl: Curl, sign_in: Callable[[str], Person]) -> None:
    cookie = sign_in("grace").cookie
    user = curl(f"{CHAT}/api/auth/refresh", "--request", "POST", "--cookie", cookie).json["user"]
    assert user["role"] == "ADMIN"


def test_who_lacks_the_role_is_refused_in_words(curl: Curl) -> None:
    refused = come_back(curl, WAY_IN, "eve").headers
    assert "set-cookie" not in refused
    assert "Authentication failed." in curl(CHAT + refused["location"]).body


def test_a_sign_in_of_another_browser_is_refused(curl: Curl) -> None:
    sent = curl(WAY_IN).headers["location"]
    back = urlsplit(curl(sent, "--cookie", "person=ada").headers["location"])
    assert "error=auth_failed" in curl(f"{CHAT}{back.path}?{back.query}").headers["location"]


def test_only_models_that_the_gateway_has_are_offered(ada: Person) -> None:
    assert [model["name"] for model in ada.ask("GET", "/api/models").json] == ["assistant"]


def test_the_gateway_learns_who_asks_and_the_answer_is_kept(ada: Person) -> None:
    assert say(ada, "hello").body == "You are ada@parrotpark.example and said: hello"
    kept = ada.ask("GET", "/api/messages").json
    assert [message["text"] for message in kept][-2:] == ["hello", "You are ada@parrotpark.example and said: hello"]
    assert ada.ask("GET", "/api/search?q=hello").json["hits"]


def test_nobody_reads_what_others_keep(ada: Person, sign_in: Callable[[str], Person]) -> None:
    file = upload(ada, "private").json["file_id"]
    grace = sign_in("grace")
    assert grace.ask("GET", f"/api/files/{file}").status == 404
    assert grace.ask("GET", "/api/messages").json == []


def test_what_the_gateway_refuses_is_told_in_its_words(ada: Person) -> None:
    assert say(ada, "I am over budget").body == "Your budget is full again on Monday."


def test_a_file_lies_in_the_bucket_until_it_is_deleted(curl: Curl, ada: Person) -> None:
    made = upload(ada, "Die Grünfläche wird dienstags gemäht.").json
    link = urlsplit(made["filepath"])
    assert parse_qs(link.query)["X-Amz-Expires"] == ["604800"]
    assert link.path.startswith("/chat/uploads/")
    assert curl(made["filepath"]).body == "Die Grünfläche wird dienstags gemäht."
    assert curl(made["filepath"].replace("604800", "604801")).status == 403
    assert ada.ask("GET", f"/api/files/{made['file_id']}").body == "Die Grünfläche wird dienstags gemäht."
    assert ada.ask("DELETE", f"/api/files/{made['file_id']}").status == 200
    assert curl(made["filepath"]).status == 404
    assert made["file_id"] not in [file["file_id"] for file in ada.ask("GET", "/api/files").json]


def test_an_answer_sees_the_passage_of_a_file_that_fits(host: Host, ada: Person) -> None:
    text = " ".join(["Straßenreinigung"] * 40 + ["Grünfläche dienstags gemäht"] + ["Musikschule"] * 40)
    file = upload(ada, text).json["file_id"]
    assert "dienstags" in say(ada, "Grünfläche dienstags", file).body.partition("said: ")[2].replace(
        "Grünfläche dienstags", "", 1
    )
    psql = "runuser --user=postgres -- psql --tuples-only --no-align --command=%s librechat"
    longest = "SELECT count(*), max(length(text)) <= 240 FROM passage WHERE file = '{}'"
    count, fits = host.check_output(psql, longest.format(file)).split("|")
    assert (int(count) > 4, fits) == (True, "t")


@pytest.mark.parametrize(("kind", "said"), [("image/png", "image/png"), ("application/x-msdownload", "Unsupported")])
def test_what_no_model_reads_is_refused_in_words(ada: Person, kind: str, said: str) -> None:
    refused = upload(ada, "MZ", kind)
    assert refused.status == 400
    assert said in refused.body


def test_signing_out_ends_every_session(curl: Curl, sign_in: Callable[[str], Person]) -> None:
    person = sign_in("ada")
    assert person.ask("GET", "/api/models").status == 200
    said = person.ask("POST", "/api/auth/logout").json
    assert curl(f"{CHAT}/api/auth/refresh", "--request", "POST", "--cookie", person.cookie).status == 401
    assert person.ask("GET", "/api/models").status == 401
    before = len(curl("https://localhost:8443/ended").json)
    assert curl(said["redirect"]).headers["location"] == "https://chat.parrotpark.example/login"
    assert curl("https://localhost:8443/ended").json[before:] == ["ada"]
