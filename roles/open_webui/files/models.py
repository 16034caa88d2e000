"""Keep what models can do, in Open WebUI's own words. Runs in its container, on its own code.

`python3 - DECLARED [--check] < models.py`: DECLARED is JSON, what the option `open_webui_models` says. Prints a line
for each change. By the settings a model can only talk, so none but those that can do more are kept here.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from open_webui.models.models import ModelForm, Models
from open_webui.models.users import Users

Values = dict[str, dict[str, Any]]  # by `params` and `meta`
MARK = {"declared": True}  # in the meta of a model: an administrator made the others


def values(model: Mapping[str, Any]) -> Values:
    """Say what is kept of a model that can call tools or read pictures."""
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


async def keep(declared: Sequence[Mapping[str, Any]], *, check: bool) -> None:
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


if __name__ == "__main__":
    asyncio.run(keep(json.loads(sys.argv[1]), check="--check" in sys.argv))
