"""Files lie in the bucket, and nowhere else: also those that came before there was one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

from tests.browser import Curl
from tests.open_webui import CHAT, sql

type Ask = Callable[..., Any]
type Upload = Callable[[str, bytes], Any]

BUCKET = "/srv/s3/buckets/chat"
FOLDER = "/srv/data/open_webui/uploads"


def read(curl: Curl, token: str, number: str) -> str:
    return curl(f"{CHAT}/api/v1/files/{number}/content", "--header", f"Authorization: Bearer {token}").body


def path(host: Host, number: str) -> str:
    return sql(host, "SELECT path FROM file WHERE id = :'id'", number)


def test_an_upload_from_before_the_bucket_has_moved(host: Host, curl: Curl, token: str) -> None:
    assert host.file(f"{BUCKET}/old.txt").content_string == "This is old."
    assert not host.file(f"{FOLDER}/old.txt").exists
    assert path(host, "old") == "s3://chat/old.txt"
    assert read(curl, token, "old") == "This is old."
    host.check_output("rm %s", f"{FOLDER}/old.txt")  # the copy that reading leaves


def test_one_whose_file_was_lost_stays_as_it_was(host: Host) -> None:
    assert path(host, "lost") == "/app/backend/data/uploads/lost.txt"
    assert not host.file(f"{BUCKET}/lost.txt").exists


def test_a_new_one_lies_in_the_bucket_until_it_is_deleted(
    host: Host, ask: Ask, curl: Curl, upload: Upload, token: str
) -> None:
    number = upload("new.txt", b"This is new.")["id"]
    name = f"{number}_new.txt"
    assert path(host, number) == f"s3://chat/{name}"
    assert host.file(f"{BUCKET}/{name}").content_string == "This is new."
    assert not host.file(f"{FOLDER}/{name}").exists
    assert read(curl, token, number) == "This is new."
    ask(f"/api/v1/files/{number}", token=token, method="DELETE")
    assert not host.file(f"{BUCKET}/{name}").exists
    assert not host.file(f"{FOLDER}/{name}").exists


def test_what_nothing_mentions_goes_after_a_day_and_nothing_else(
    host: Host, ask: Ask, curl: Curl, upload: Upload, token: str
) -> None:
    files = {name: upload("text.txt", name.encode())["id"] for name in ("forgotten", "young", "asked", "lost")}
    objects = {name: f"{BUCKET}/{number}_text.txt" for name, number in files.items()}
    copies = {name: f"{FOLDER}/{number}_text.txt" for name, number in files.items()}
    message = {"id": "1", "role": "user", "content": "?", "files": [{"type": "file", "id": files["asked"]}]}
    ask("/api/v1/chats/new", {"chat": {"title": "Asked", "history": {"messages": {"1": message}}}}, token)
    for name in ("forgotten", "asked", "lost"):
        assert read(curl, token, files[name]) == name  # which leaves a copy in the folder
        sql(host, "UPDATE file SET created_at = 0 WHERE id = :'id'", files[name])
        host.check_output("touch --date=@0 %s %s", objects[name], copies[name])
    sql(host, "DELETE FROM file WHERE id = :'id'", files["lost"])
    assert [host.file(name).exists for name in objects.values()] == [True] * 4
    assert [host.file(name).exists for name in copies.values()] == [True, False, True, True]

    host.check_output("systemctl start open-webui-tidy.service")

    stay = {name: host.file(key).exists for name, key in objects.items()}
    assert stay == {"forgotten": False, "young": True, "asked": True, "lost": False}
    assert [name for name, copy in copies.items() if host.file(copy).exists] == []
    assert {name for name, number in files.items() if path(host, number)} == {"young", "asked"}
