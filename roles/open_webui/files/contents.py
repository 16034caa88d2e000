"""Keep what is declared of Open WebUI's own contents. Runs in its container, on its own code.

All of it in one program, as that code takes seconds to load. Reads a JSON object from standard input: `bucket`, whether
uploads belong in one; `models`, what the option `open_webui_models` says; `functions`, by their numbers the texts of
event functions of ours. Prints a line for each change; with `--check` it makes none.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from open_webui.internal.db import get_async_db
from open_webui.models.files import File
from open_webui.models.functions import FunctionForm, FunctionMeta, Functions
from open_webui.models.models import ModelForm, Models
from open_webui.models.users import Users
from open_webui.storage.provider import Storage
from sqlalchemy import select, update

Values = dict[str, dict[str, Any]]  # by `params` and `meta`
MARK = {"declared": True}  # in the meta of a model: an administrator made the others


def values(model: Mapping[str, Any]) -> Values:
    """Say what is kept of a model that can call tools or read pictures: by the settings a model can only talk."""
    tools, pictures = model.get("tools", False), model.get("pictures", False)
    return {
        "params": {"function_calling": "native" if tools else "legacy"},
        "meta": {"capabilities": {"builtin_tools": tools, "vision": pictures}, **MARK},
    }


def changes(declared: Sequence[Mapping[str, Any]], known: Mapping[str, Values]) -> Iterator[tuple[str, Values | None]]:
    """Yield the name of each model that is not as declared, with what it shall be, or None where it shall not be."""
    wanted = {model["name"]: values(model) for model in declared if model.get("tools") or model.get("pictures")}
    for name, parts in wanted.items():
        actual = known.get(name, {"params": {}, "meta": {}})
        if any(actual[part].get(key) != value for part, keys in parts.items() for key, value in keys.items()):
            yield name, {part: {**actual[part], **keys} for part, keys in parts.items()}
    for name, parts in known.items():
        if name not in wanted and parts["meta"].items() >= MARK.items():
            yield name, None


async def keep_models(declared: Sequence[Mapping[str, Any]], *, check: bool) -> None:
    """Keep what models can do."""
    known = {model.id: model.model_dump() for model in await Models.get_base_models()}
    owner = await Users.get_super_admin_user()
    for name, parts in changes(declared, known):
        print(f"model {name}: {'removed' if parts is None else 'changed' if name in known else 'added'}")
        if check:
            continue
        if parts is None:
            await Models.delete_model_by_id(name)
        elif name in known:
            await Models.update_model_by_id(name, ModelForm(**{**known[name], **parts}))
        else:
            await Models.insert_new_model(ModelForm(id=name, name=name, **parts), owner.id)


async def keep_function(number: str, content: str, *, check: bool) -> None:
    """Keep an event function of ours, active."""
    known = await Functions.get_function_by_id(number)
    if known and known.is_active and known.content == content:
        return
    print(f"function {number}: {'changed' if known else 'added'}")
    if check:
        return
    if not known:
        meta = FunctionMeta(description=content.splitlines()[0].strip('"'))
        owner = await Users.get_super_admin_user()
        await Functions.insert_new_function(
            owner.id, "event", FunctionForm(id=number, name=number, content=content, meta=meta)
        )
    await Functions.update_function_by_id(number, {"content": content, "is_active": True})


async def move_uploads(*, check: bool) -> None:
    """Move uploads from the folder into the bucket."""
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


async def main() -> None:
    declared, check = json.load(sys.stdin), "--check" in sys.argv
    if declared["bucket"]:
        await move_uploads(check=check)
    await keep_models(declared["models"], check=check)
    for number, content in declared["functions"].items():
        await keep_function(number, content, check=check)


if __name__ == "__main__":
    asyncio.run(main())
