"""What people attach is read whatever it is written in, or refused in words, and goes with what it belonged to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from tests.documents import KINDS, pdf
from tests.open_webui import sql

type Ask = Callable[..., Any]
type Upload = Callable[[str, bytes], Any]

GERMAN = "Die Grünfläche am Rathaus (Süd) wird dienstags gemäht."
LONG = {
    "german": "Der Gemeinderat der Stadt Quellenfeld beschließt die Änderung der Straßenreinigungsgebührensatzung. "
    * 40,
    "one word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 30,
    "greek": "δημοτική βιβλιοθήκη είναι ανοιχτή κάθε Τρίτη απόγευμα. " * 60,
    "chinese": "市立图书馆每周二下午开放供市民借阅书籍" * 120,
    "emoji": "🦜🌳👩👩👧👦🏛" * 200,
}
UPLOADS = "/srv/data/open_webui/uploads"


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_of_each_kind_is_found_by_its_words(ask: Ask, upload: Upload, token: str, kind: str) -> None:
    file = upload(f"rathaus.{kind}", KINDS[kind](GERMAN))
    assert file["data"]["status"] == "completed", file["data"]
    question = {"collection_name": f"file-{file['id']}", "query": "dienstags gemäht Grünfläche", "k": 1}
    ((found,),) = ask("/api/v1/retrieval/query/doc", question, token)["documents"]
    assert GERMAN in found


@pytest.mark.parametrize("script", LONG)
def test_a_long_text_in_any_script_is_embedded_whole(host: Host, upload: Upload, script: str) -> None:
    text = f"Anfang {LONG[script]} Schluss"
    file = upload("text.txt", text.encode())
    assert file["data"]["status"] == "completed", file["data"]
    chunks = sql(
        host,
        "SELECT replace(text, E'\\n', ' ') FROM document_chunk WHERE collection_name = 'file-' || :'id'",
        file["id"],
    ).splitlines()
    assert len(chunks) >= len(text) / 240
    assert {word for chunk in chunks for word in chunk.split()} >= set(text.split()) or " " not in LONG[script]
    assert sum(map(len, chunks)) >= len(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("secret.pdf", pdf(GERMAN, encrypted=True), "not been decrypted"),
        ("broken.pdf", b"%PDF-1.4 that is all", "Stream has ended unexpectedly"),
        ("broken.docx", b"PK that is all", "not a zip file"),
        ("empty.txt", b"", "content provided is empty"),
        ("program.exe", b"MZ\0\0", "File type exe is not allowed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(upload: Upload, name: str, content: bytes, said: str) -> None:
    file = upload(name, content)
    assert said in (file["data"]["error"] if "data" in file else file["detail"])


def test_what_nothing_mentions_goes_after_a_day_and_nothing_else(
    host: Host, ask: Ask, upload: Upload, token: str
) -> None:
    def exists(file: Any) -> tuple[str, str, bool]:
        rows = sql(host, "SELECT count(*) FROM file WHERE id = :'id'", file["id"])
        vectors = sql(host, "SELECT count(*) FROM document_chunk WHERE vmetadata->>'file_id' = :'id'", file["id"])
        return rows, vectors, host.file(f"{UPLOADS}/{file['id']}_text.txt").exists

    def age(file: Any) -> None:
        sql(host, "UPDATE file SET created_at = 0 WHERE id = :'id'", file["id"])
        host.check_output("touch --date=@0 %s", f"{UPLOADS}/{file['id']}_text.txt")

    def knowledge(file: Any) -> str:
        made = ask("/api/v1/knowledge/create", {"name": file["id"], "description": "For the test"}, token)
        ask(f"/api/v1/knowledge/{made['id']}/file/add", {"file_id": file["id"]}, token)
        return str(made["id"])

    files = {name: upload("text.txt", name.encode()) for name in ("forgotten", "young", "known", "asked", "lost")}
    for name in ("forgotten", "young"):
        assert ask(f"/api/v1/knowledge/{knowledge(files[name])}/delete", token=token, method="DELETE") is True
    knowledge(files["known"])
    message = {"id": "1", "role": "user", "content": "?", "files": [{"type": "file", "id": files["asked"]["id"]}]}
    ask("/api/v1/chats/new", {"chat": {"title": "Asked", "history": {"messages": {"1": message}}}}, token)
    for name in ("forgotten", "known", "asked", "lost"):
        age(files[name])
    sql(host, "DELETE FROM file WHERE id = :'id'", files["lost"]["id"])
    before = {name: exists(file) for name, file in files.items()}
    assert before["forgotten"] == ("1", "1", True)  # the page says that the knowledge base is deleted

    host.check_output("systemctl start open-webui-tidy.service")

    after = {name: exists(file) for name, file in files.items()}
    assert after.pop("forgotten") == after.pop("lost") == ("0", "0", False)
    assert after == {name: before[name] for name in ("young", "known", "asked")}
    assert before["known"] == ("1", "2", True)


def test_the_program_that_tidies_up_is_confined(host: Host) -> None:
    assert host.service("open-webui-tidy.timer").is_enabled
    assert host.service("open-webui-tidy.timer").is_running
    host.check_output("systemd-analyze security --threshold=20 open-webui-tidy.service")
