"""Move uploads from Open WebUI's folder into its bucket, in its own container and by its own code.

Prints a line for each. With `--check` it moves nothing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from open_webui.internal.db import get_async_db
from open_webui.models.files import File
from open_webui.storage.provider import Storage
from sqlalchemy import select, update


async def move(*, check: bool) -> None:
    async with get_async_db() as database:
        query = select(File.id, File.path).where(File.path.is_not(None), File.path.not_like("s3://%"))
        for number, name in (await database.execute(query)).all():
            path = Path(name)
            if not path.exists():  # nobody could read it before, either
                continue
            print(f"upload {path.name}")
            if not check:
                with path.open("rb") as content:
                    # It writes to the folder first, and from there to the bucket.
                    _, moved = Storage.upload_file(content, path.name, {})
                await database.execute(update(File).where(File.id == number).values(path=moved))
                await database.commit()
                path.unlink()


if __name__ == "__main__":
    asyncio.run(move(check="--check" in sys.argv))
