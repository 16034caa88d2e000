"""From an invitation to the last trace: what people meet who come, and what is left of them when they go."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect
from testinfra.host import Host

from parrotpark.control.sign_in import sign_in
from parrotpark.control.verify import Endpoints
from tests.e2e.pages import ask, enter
from tests.e2e.stores import objects, places

CANARY = "Quellenfeld-4711"
LETTER = b"A letter of Ada's."
SESSION = """
import asyncio, sys
from open_webui.models.oauth_sessions import OAuthSessions
print(asyncio.run(OAuthSessions.get_session_by_id(sys.argv[1])).token["refresh_token"])
"""


def make(*arguments: str, status: int = 0) -> str:
    done = subprocess.run(["make", *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode == 0) is (status == 0), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def ada(entry: Host) -> Iterator[str]:
    email = "ada.lovelace@parrotpark.invalid"
    yield email
    entry.check_output("parrotpark-people erase --at-once %s", email)


def cookies(page: Page) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}


def test_an_invited_person_comes_in_asks_and_leaves(
    page: Page, ada: str, entry: Host, browse: httpx2.Client, screenshot: Callable[[Page, str], None]
) -> None:
    said = make("invite", f"PERSON={ada}", "NAME=Ada Lovelace", "GROUP=staff")
    screenshot(page, "sign-in")
    choose_password(page, ada, said)
    screenshot(page, "first-password")
    page.locator("[type=submit]").click()
    ask(page, "What is the capital of France?")
    expect(page.locator(".chat-assistant")).to_contain_text("Paris")
    screenshot(page, "answer")
    with page.expect_response(lambda answer: "/process/status" in answer.url) as reading:
        page.locator("input[type=file]").first.set_input_files(
            {"name": "letter.txt", "mimeType": "text/plain", "buffer": LETTER}
        )
    reading.value.finished()
    assert LETTER in objects(entry).values()
    assert "Ada Lovelace" in make("people")

    old = cookies(page)
    session = {"Authorization": f"Bearer {old['token']}"}
    assert browse.get("/api/v1/auths/", headers=session).json()["role"] == "user"
    refresh = entry.check_output("podman exec open-webui python3 -c %s %s | tail -n1", SESSION, old["oauth_session_id"])
    page.get_by_label("User menu").first.click()
    page.get_by_text("Sign Out").click()
    page.locator("#username").wait_for()
    assert browse.get("/api/v1/auths/", headers=session).status_code == 401
    assert token(entry, refresh)["error"] == "invalid_grant"


def test_an_address_is_enough_to_be_invited(page: Page, ada: str) -> None:
    choose_password(page, ada, make("invite", f"PERSON={ada}", "GROUP=staff"))
    page.locator("[type=submit]").click()
    page.locator("#chat-input").wait_for()


def choose_password(page: Page, email: str, said: str) -> None:
    """Come in with the password of an invitation, and fill in another."""
    (password,) = re.findall(r"with the\s+password\s+(\S+),", said)
    enter(page, {"email": email, "password": password})
    for field in ("#password-new", "#password-confirm"):
        page.locator(field).fill("a password of her own")


def token(entry: Host, refresh: str) -> Mapping[str, str]:
    """Ask sign-on, as the chat, for another access token."""
    secret = entry.check_output("sed -n s/^OAUTH_CLIENT_SECRET=//p /etc/open-webui/secrets.env")
    form = f"grant_type=refresh_token&client_id=open-webui&client_secret={secret}&refresh_token={refresh}"
    url = "http://127.0.0.1:8180/realms/parrotpark/protocol/openid-connect/token"
    answer: Mapping[str, str] = json.loads(entry.check_output("echo %s | curl -s --data @- %s", form, url))
    return answer


def test_who_is_in_no_group_is_refused_in_words(
    page: Page, person: Callable[..., Mapping[str, str]], screenshot: Callable[[Page, str], None]
) -> None:
    enter(page, person("outsider@parrotpark.invalid", ""))
    expect(page.get_by_text("You do not have permission")).to_be_visible()
    screenshot(page, "refused")


def test_ten_wrong_passwords_lock(page: Page, person: Callable[..., Mapping[str, str]], endpoints: Endpoints) -> None:
    login = person("careless@parrotpark.invalid")
    assert sign_in(endpoints.chat, endpoints.ca, login["email"], login["password"])
    for _ in range(10):
        enter(page, {**login, "password": "a wrong guess"})
        expect(page.get_by_text("Invalid username or password")).to_be_visible()
    enter(page, login)
    expect(page.get_by_text("Invalid username or password")).to_be_visible()


def test_what_is_kept_of_a_person_is_exported_and_then_erased(
    person: Callable[..., Mapping[str, str]],
    endpoints: Endpoints,
    entry: Host,
    browse: httpx2.Client,
    browse_as_admin: httpx2.Client,
) -> None:
    began = entry.check_output("date +%s")
    mine = browse_as_admin.post("/api/v1/chats/new", json={"chat": {"title": "Mine"}}).raise_for_status().json()["id"]
    before = others(entry)
    login = person("canary@parrotpark.invalid", name=f"{CANARY} Canary")
    session = {"Authorization": f"Bearer {sign_in(endpoints.chat, endpoints.ca, login['email'], login['password'])}"}
    file = {"file": (f"{CANARY}.txt", f"{CANARY} is in a file.", "text/plain")}
    wait = {"process_in_background": "false"}
    browse.post("/api/v1/files/", params=wait, files=file, headers=session).raise_for_status()
    chat = {"chat": {"title": CANARY, "history": {"messages": {}, "currentId": None}}}
    browse.post("/api/v1/chats/new", json=chat, headers=session).raise_for_status()

    make("export", f"PERSON={login['email']}")
    path = Path("inventories/local/.state/exports", f"{login['email']}.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert path.stat().st_mode & 0o77 == 0
    path.unlink()
    assert {"keycloak/user_entity.json", "open_webui/chat.json", "open_webui/document_chunk.json"} <= {*names}
    assert [name for name in names if name.startswith("files/") and name.endswith(f"{CANARY}.txt")]

    assert places(entry, CANARY)
    make("erase", f"PERSON={login['email']}", "YES=1")
    assert [place for word in (CANARY, login["email"]) for place in places(entry, word)] == []
    invoked = f"Invoked with.*{login['email']}"
    assert entry.check_output("journalctl --quiet --since=@%s --grep='session opened' --lines=1", began)
    assert entry.run("journalctl --quiet --since=@%s --grep=%s", began, invoked).rc == 1  # nothing was found
    assert others(entry) == before
    browse_as_admin.delete(f"/api/v1/chats/{mine}").raise_for_status()


def others(entry: Host) -> str:
    """Read all that people have in the chat."""
    tables = ("chat", "chat_message", "document_chunk", "file", "folder", "knowledge", "memory")
    each = " UNION ALL ".join(f"SELECT '{table}', t::text FROM {table} t" for table in tables)
    return str(entry.check_output("runuser -u postgres -- psql -At open_webui -c %s | sort", each))
