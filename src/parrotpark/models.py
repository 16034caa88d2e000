"""How people name a model: a folder, or a name on the model hub with the revision behind `@`."""

from __future__ import annotations

import re


class ModelError(ValueError):
    """The name of a model is none; the message is one line."""


def source(model: str) -> dict[str, str]:
    """Tell where the weights of `model` come from: `folder`, or `hub` and `revision`.

    A revision is a commit. A branch would mean whatever its owner uploads next, and no two hosts need be alike.

    Raises:
        ModelError: it is neither an absolute path nor `organisation/name@revision`.
    """
    if model.startswith("/"):
        return {"folder": model.rstrip("/")}
    name, _, revision = model.partition("@")
    organisation, slash, rest = name.partition("/")
    if not (organisation and slash and rest) or "/" in rest:
        raise ModelError(f"{model!r} is no model: write /a/folder or organisation/name@revision")
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ModelError(
            f"{model!r} names no commit: write {name}@ and the 40 digits of one, "
            "as the model's page on the hub lists them under its files' history"
        )
    return {"hub": name, "revision": revision}


def served_name(model: str) -> str:
    """Name the model as people call it: the last part of its source, in small letters.

    Raises:
        ModelError: as `source`.
    """
    found = source(model)
    return (found.get("folder") or found["hub"]).rsplit("/", 1)[1].lower()
