"""Keep one event function of ours in Open WebUI, active. Runs in its container, on its own code.

`python3 -c PROGRAM ID [--check]` reads the text of the function from standard input; prints a line if it changes it.
"""

import asyncio
import sys

from open_webui.models.functions import FunctionForm, FunctionMeta, Functions
from open_webui.models.users import Users


async def keep(number: str, content: str, *, check: bool) -> None:
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


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], sys.stdin.read(), check="--check" in sys.argv))
