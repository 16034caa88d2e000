"""The chat in a browser, as a newcomer meets it."""

from collections.abc import Callable, Mapping

import httpx2
import pytest
from playwright.sync_api import Page, expect
from testinfra.host import Host

from parrotpark.control.verify import Endpoints
from tests.e2e.pages import ask, enter

QUESTION = "What is the capital of France?"


def test_a_click_on_a_suggestion_gets_an_answer(chat: Page, answered: Callable[[Page, str], str]) -> None:
    chat.get_by_role("button", name=QUESTION).click()
    assert "Paris" in answered(chat, QUESTION)
    shown = chat.locator(".chat-assistant").inner_text()
    # It is history now, kept by the server.
    chat.reload()
    expect(chat.locator(".chat-assistant")).to_have_text(shown)


def test_a_typed_question_and_the_next_one_get_answers(chat: Page, answered: Callable[[Page, str], str]) -> None:
    for question in ("Was ist ein Papagei? 🦜 Grüße aus Köln!", "Nenne drei Farben."):
        ask(chat, question)
        answered(chat, question)


def test_the_notice_is_shown(chat: Page, browse_as_admin: httpx2.Client) -> None:
    (banner,) = browse_as_admin.get("/api/v1/configs/banners").raise_for_status().json()
    expect(chat.get_by_text(banner["content"])).to_be_visible()


def test_only_the_model_that_answers_can_be_chosen(browse_as_admin: httpx2.Client, generate_model: str) -> None:
    models = browse_as_admin.get("/api/models").raise_for_status().json()["data"]
    assert [model["id"] for model in models] == [generate_model]


def test_a_wrong_password_is_refused(page: Page, endpoints: Endpoints) -> None:
    enter(page, {"email": endpoints.admin_email, "password": "wrong"})
    expect(page.get_by_text("Invalid username or password")).to_be_visible()


def test_nobody_signs_in_past_sign_on(browse: httpx2.Client, admin: Mapping[str, str]) -> None:
    assert browse.post("/api/v1/auths/signin", json=dict(admin)).status_code == 403


def test_nobody_signs_up(browse: httpx2.Client) -> None:
    stranger = {"name": "Stranger", "email": "stranger@parrotpark.example", "password": "let me in please"}
    assert browse.post("/api/v1/auths/signup", json=stranger).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/models",
        "/api/v1/chats/",
        "/api/v1/configs/export",
        "/api/v1/files/",
        "/api/v1/knowledge/",
        "/api/v1/retrieval/config",
        "/api/v1/users/",
        "/api/v1/utils/db/download",
        "/openai/config",
        "/openai/models",
    ],
)
@pytest.mark.parametrize("token", ["", "Bearer", "Bearer sk-a-guess"], ids=["none", "empty", "wrong"])
def test_a_stranger_sees_nothing(browse: httpx2.Client, path: str, token: str) -> None:
    assert browse.get(path, headers={"Authorization": token} if token else {}).status_code in {401, 403}


def test_a_document_reaches_the_prompt_until_its_rows_are_deleted(
    entry: Host, browse_as_admin: httpx2.Client, generate_model: str
) -> None:
    chat, fact = browse_as_admin, "The parrot in the town hall of Quellenfeld is called Amalia Papageno."
    question = {
        "model": generate_model,
        "stream": False,
        "max_tokens": 4,
        "messages": [{"role": "user", "content": "What is the parrot in the town hall called?"}],
    }
    document = {"file": ("parrots.txt", fact, "text/plain")}
    wait = {"process_in_background": "false"}
    file = chat.post("/api/v1/files/", params=wait, files=document).raise_for_status().json()["id"]
    about = {"name": "Town hall", "description": "Who lives there"}
    knowledge = chat.post("/api/v1/knowledge/create", json=about).raise_for_status().json()["id"]
    try:
        chat.post(f"/api/v1/knowledge/{knowledge}/file/add", json={"file_id": file}).raise_for_status()
        without = chat.post("/api/chat/completions", json=question).raise_for_status().json()
        collection = {"files": [{"type": "collection", "id": knowledge}]}
        having = chat.post("/api/chat/completions", json=question | collection).raise_for_status().json()
        delete = f"DELETE FROM document_chunk WHERE collection_name = '{knowledge}'"
        assert entry.check_output("runuser -u postgres -- psql open_webui -c %s", delete) == "DELETE 1"
        after = chat.post("/api/chat/completions", json=question | collection).raise_for_status().json()
    finally:
        chat.delete(f"/api/v1/knowledge/{knowledge}/delete").raise_for_status()
        chat.delete(f"/api/v1/files/{file}").raise_for_status()
    assert [source["document"] for source in having["sources"]] == [[fact]]
    # The model counted: what it was asked grew by more than the document's words.
    assert having["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"] > len(fact.split())
    assert after["usage"]["prompt_tokens"] == without["usage"]["prompt_tokens"]
