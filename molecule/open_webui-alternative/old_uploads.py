"""Upload two files as Open WebUI does where it keeps them in a folder; runs in its container, by its own code."""

from __future__ import annotations

import asyncio
import io

from open_webui.models.files import FileForm, Files
from open_webui.models.users import Users
from open_webui.storage.provider import Storage


async def upload(name: str) -> None:
    owner = await Users.get_super_admin_user()
    _, path = Storage.upload_file(io.BytesIO(f"This is {name}.".encode()), f"{name}.txt", {})
    meta = {"name": f"{name}.txt", "content_type": "text/plain"}
    await Files.insert_new_file(owner.id, FileForm(id=name, filename=f"{name}.txt", path=path, data={}, meta=meta))


async def main() -> None:
    for name in ("old", "lost"):
        await upload(name)


asyncio.run(main())
