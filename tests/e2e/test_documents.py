"""What people attach in the page reaches the prompt; what cannot be read is refused there in words."""

from collections.abc import Callable

import httpx2
import openai
import pytest
from playwright.sync_api import Page, expect

from tests.documents import KINDS, pdf
from tests.e2e.pages import ask

FACT = "Der Papagei im Rathaus von Quellenfeld heißt Amalia Papageno und wird dienstags gefüttert."
GERMAN = "Der Gemeinderat der Stadt Quellenfeld beschließt die Änderung der Straßenreinigungsgebührensatzung. "
TEXTS = {
    "german": GERMAN * 50,
    "one word": GERMAN.replace(" ", "").strip(".") * 50,
    "greek": "Στη δημοτική βιβλιοθήκη θα βρείτε τον παπαγάλο. " * 60,
    "chinese": "市立图书馆每周二下午开放供市民借阅书籍" * 150,
    "korean": "시립도서관은매주화요일오후에열립니다" * 150,
    "emoji": "🦜🌳👩👧👦🏛" * 300,
}


@pytest.fixture
def upload(browse_as_admin: httpx2.Client) -> Callable[[str, bytes], dict[str, str]]:
    """Uploads a file, waits until it is read, and tells what became of it."""

    def upload(name: str, content: bytes) -> dict[str, str]:
        wait = {"process_in_background": "false"}
        sent = browse_as_admin.post("/api/v1/files/", params=wait, files={"file": (name, content)}).raise_for_status()
        file: dict[str, str] = (
            browse_as_admin.get(f"/api/v1/files/{sent.json()['id']}").raise_for_status().json()["data"]
        )
        browse_as_admin.delete(f"/api/v1/files/{sent.json()['id']}").raise_for_status()
        return file

    return upload


@pytest.mark.parametrize("script", TEXTS)
def test_a_long_text_in_any_script_can_be_attached(upload: Callable[[str, bytes], dict[str, str]], script: str) -> None:
    file = upload("text.txt", TEXTS[script].encode())
    assert (file["status"], file.get("error")) == ("completed", None)


def test_what_is_too_long_to_embed_is_cut(client: openai.OpenAI, embed_model: str) -> None:
    whole, begun, other = (
        client.embeddings.create(model=embed_model, input=text).data[0].embedding
        for text in (GERMAN * 50, GERMAN * 20, "Interest rates fell in March.")
    )
    assert dot(whole, begun) > 0.99 > dot(whole, other)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["pdf", "docx", "xlsx", "pptx"])
def test_an_attached_document_is_cited_in_the_answer(chat: Page, browse_as_admin: httpx2.Client, kind: str) -> None:
    name = f"rathaus.{kind}"
    with chat.expect_response(lambda answer: "/process/status" in answer.url) as reading:
        chat.locator("input[type=file]").first.set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": KINDS[kind](FACT)}
        )
    reading.value.finished()
    expect(chat.get_by_text(name)).to_be_visible()
    ask(chat, "Wie heißt der Papagei im Rathaus?")
    chat.wait_for_url("**/c/*")
    expect(chat.get_by_role("button", name="Regenerate")).to_be_visible()
    stored = browse_as_admin.get(f"/api/v1/chats/{chat.url.rsplit('/', 1)[1]}").raise_for_status().json()["chat"]
    (answer,) = (said for said in stored["history"]["messages"].values() if said["role"] == "assistant")
    assert "error" not in answer
    assert FACT in answer["sources"][0]["document"][0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("secret.pdf", pdf(FACT, encrypted=True), "File has not been decrypted"),
        ("empty.txt", b"", "You cannot upload an empty file"),
        ("program.exe", b"MZ\0\0", "File type exe is not allowed"),
        ("large.txt", b"x" * (25 * 1024 * 1024 + 1), "should not exceed 25 MB"),
    ],
)
def test_the_page_says_why_a_file_is_refused(chat: Page, name: str, content: bytes, said: str) -> None:
    chat.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    expect(chat.get_by_text(said)).to_be_visible()
