"""An inventory that chooses LibreChat gets it, with the same people, files and budgets; the other chat loses nothing.

LibreChat's image is a stand-in, built on its published packages: docs/local.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect
from testinfra.host import Host

from localcloud.paths import ARTIFACTS
from tests.e2e.pages import enter
from tests.e2e.stores import objects, places, spend_all

ENTRY = Path(__file__).parents[3] / "playbooks" / "entry.yml"
IMAGES = {
    "parrotpark_librechat_image": "librechat",
    "parrotpark_librechat_rag_image": "librechat-rag",
    "parrotpark_librechat_search_image": "librechat-search",
    "parrotpark_mongodb_image": "mongodb",
}
CANARY = "Quellenfeld-4712"
PATIENCE = 180  # seconds
QUESTION = "What is the capital of France?"


def converge(inventory: str, **inputs: str) -> None:
    command = ["ansible-playbook", "-i", inventory, str(ENTRY), "-e", json.dumps(inputs)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module", autouse=True)
def librechat(pytestconfig: pytest.Config, entry: Host, browse_as_admin: httpx2.Client) -> Iterator[None]:
    """The chat is LibreChat; afterwards it is Open WebUI again, with all that was kept there."""
    inventory = pytestconfig.getoption("stack")
    assert not entry.file("/srv/data/librechat").exists  # or it would be lost in the end
    mine = browse_as_admin.post("/api/v1/chats/new", json={"chat": {"title": "Mine"}}).raise_for_status().json()["id"]
    subprocess.run([sys.executable, "-m", "localcloud.demo.stand_ins.librechat", str(ARTIFACTS)], check=True)
    images = {name: (ARTIFACTS / f"{image}.image").read_text().strip() for name, image in IMAGES.items()}
    try:
        converge(inventory, parrotpark_chat="librechat", **images)
        assert entry.run("systemctl is-active open-webui.service").stdout.strip() == "inactive"
        yield
    finally:
        converge(inventory)
    assert entry.run("systemctl is-active librechat.service mongodb.service").stdout.split() == ["inactive"] * 2
    # Nobody is erased while something is kept where nobody answers: what is left is of nobody.
    entry.check_output("rm -r /srv/data/librechat /srv/data/mongodb")
    browse_as_admin.delete(f"/api/v1/chats/{mine}").raise_for_status()


@pytest.fixture
def chat(page: Page) -> Callable[[Mapping[str, str]], Page]:
    """Signs somebody in through the page."""

    def chat(login: Mapping[str, str]) -> Page:
        enter(page, login)
        expect(page.locator("#who")).to_have_text(login["email"])
        return page

    return chat


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def session(page: Page) -> Mapping[str, str]:
    """What the browser shows LibreChat."""
    (value,) = (cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "refreshToken")
    return {"Cookie": f"refreshToken={value}"}


def upload(page: Page, name: str, content: str) -> None:
    page.get_by_label("File").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content.encode()})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#files")).to_contain_text(name)


def test_a_person_comes_in_asks_keeps_a_file_and_leaves(
    chat: Callable[[Mapping[str, str]], Page],
    person: Callable[..., Mapping[str, str]],
    entry: Host,
    browse: httpx2.Client,
) -> None:
    page = chat(person("reader@parrotpark.invalid"))
    ask(page, QUESTION)
    expect(page.locator("#answer")).to_contain_text("Paris")
    upload(page, "letter.txt", "A letter to LibreChat.")
    assert b"A letter to LibreChat." in objects(entry).values()

    cookie = session(page)
    token = browse.post("/api/auth/refresh", headers=cookie).raise_for_status().json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert browse.get("/api/models", headers=bearer).status_code == 200
    page.get_by_role("button", name="Sign out").click()
    page.locator("#username").wait_for()
    assert browse.post("/api/auth/refresh", headers=cookie).status_code == 401
    assert browse.get("/api/models", headers=bearer).status_code == 401


def test_who_is_in_no_group_is_refused_in_words(page: Page, person: Callable[..., Mapping[str, str]]) -> None:
    enter(page, person("outsider@parrotpark.invalid", ""))
    expect(page.get_by_text("Authentication failed.")).to_be_visible()


def test_who_is_over_budget_is_told_so(
    chat: Callable[[Mapping[str, str]], Page], person: Callable[..., Mapping[str, str]], entry: Host
) -> None:
    login = person("guest@parrotpark.invalid", "guests")
    spend_all(entry, login["email"], 1.5)
    page = chat(login)
    ask(page, QUESTION)
    expect(page.locator("#answer")).to_contain_text("Your budget is used up. It is full again on ")


@pytest.mark.parametrize("service", ["mongodb", "librechat"])
def test_what_is_killed_comes_back(
    service: str,
    chat: Callable[[Mapping[str, str]], Page],
    person: Callable[..., Mapping[str, str]],
    entry: Host,
    browse: httpx2.Client,
) -> None:
    page = chat(person("patient@parrotpark.invalid"))
    ask(page, QUESTION)
    expect(page.locator("#answer")).to_contain_text("Paris")
    killed = time.monotonic()
    entry.check_output("systemctl kill --signal=KILL %s.service", service)
    while (known := browse.post("/api/auth/refresh", headers=session(page))).status_code != 200:
        assert time.monotonic() - killed < PATIENCE, known.text
        time.sleep(0.5)
    print(f"{service} killed: the session is known again after {time.monotonic() - killed:.0f} s")
    ask(page, QUESTION)
    expect(page.locator("#answer")).to_contain_text("Paris")
    assert entry.check_output("systemctl show --property=NRestarts --value %s", service) != "0"


def test_a_person_is_exported_and_then_erased(
    chat: Callable[[Mapping[str, str]], Page], person: Callable[..., Mapping[str, str]], entry: Host
) -> None:
    login = person("canary@parrotpark.invalid", name=f"{CANARY} Canary")
    page = chat(login)
    ask(page, f"Who is {CANARY}?")
    expect(page.locator("#answer")).not_to_be_empty()
    upload(page, f"{CANARY}.txt", f"{CANARY} is in a file.")
    entry.check_output("parrotpark-people export %s --to /root/canary.tar.gz", login["email"])
    names = entry.check_output("tar tzf /root/canary.tar.gz; rm /root/canary.tar.gz").splitlines()
    assert {"LibreChat/users.json", "LibreChat/messages.json", "LibreChat/files.json"} <= {*names}
    assert [name for name in names if name.startswith("files/") and name.endswith(f"{CANARY}.txt")]

    assert places(entry, CANARY)
    entry.check_output("parrotpark-people erase %s", login["email"])
    assert [place for word in (CANARY, login["email"]) for place in places(entry, word)] == []
