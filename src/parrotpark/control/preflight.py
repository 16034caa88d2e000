"""Judges what people wrote into an inventory before anything is touched: names, formats, and files that must exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

PREFIX = "parrotpark_"
WIRING = "playbooks/group_vars"
_EXAMPLE = re.compile(r"(?:https?://)?(?:.+[@.])?example\.(?:com|net|org)(?:[:/].*)?")
_VARIABLE_FOLDERS = ("group_vars", "host_vars")
_VARIABLE_SUFFIXES = frozenset({"", ".yml", ".yaml", ".json"})

type Options = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable that people set, and where."""

    name: str
    place: str


def variable_files(inventory: Path) -> Iterator[Path]:
    """List the files of group and host variables that Ansible reads for an inventory (a folder, or a file in one)."""
    folder = inventory if inventory.is_dir() else inventory.parent
    for name in _VARIABLE_FOLDERS:
        for path in sorted((folder / name).rglob("*")):
            relative = path.relative_to(folder)
            hidden = any(part.startswith(".") or part.endswith("~") for part in relative.parts)
            if path.is_file() and path.suffix in _VARIABLE_SUFFIXES and not hidden:
                yield path


def options_of(specification: object) -> Options:
    """Return the options of all entry points of a file in the format of `meta/argument_specs.yml`."""
    options: dict[str, Mapping[str, object]] = {}
    entry_points = specification.get("argument_specs", {}) if isinstance(specification, Mapping) else {}
    for entry_point in entry_points.values():
        options.update(entry_point.get("options") or {})
    return options


def defaults_of(schema: Options) -> dict[str, object]:
    """Return the values of inputs that nobody sets."""
    return {name: option["default"] for name, option in schema.items() if "default" in option}


def constraints_of(specification: object) -> dict[str, list[object]]:
    """Return what the entry points of the file say about combinations of options, such as `required_if`."""
    constraints: dict[str, list[object]] = {}
    entry_points = specification.get("argument_specs", {}) if isinstance(specification, Mapping) else {}
    for entry_point in entry_points.values():
        for name, value in entry_point.items():
            if name.startswith("required_"):
                constraints.setdefault(name, []).extend(value)
    return constraints


def misplaced(settings: Iterable[Setting], owners: Mapping[str, str]) -> list[str]:
    """Refuse role variables (`owners` says whose) in an inventory: wiring would silently win over them."""
    return [
        f"{setting.name} in {setting.place} is a variable of the role {owners[setting.name]}, and the wiring "
        f"in {WIRING} would silently win over it: set a {PREFIX}… input instead, or wire it there"
        for setting in settings
        if setting.name in owners
    ]


def unknown(settings: Iterable[Setting], schema: Options) -> list[str]:
    """Refuse names that look like inputs, but are not."""
    problems = []
    for setting in settings:
        if setting.name.startswith(PREFIX) and setting.name not in schema:
            # Without the prefix, which all names share.
            names = [name.removeprefix(PREFIX) for name in schema]
            near = get_close_matches(setting.name.removeprefix(PREFIX), names, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/inputs.md lists all inputs"
            problems.append(f"{setting.name} in {setting.place} is not an input: {hint}")
    return problems


def missing(given: Mapping[str, object], schema: Options, place: str) -> list[str]:
    """Name the inputs that are needed and that nobody set, with their descriptions; `place` is where they belong.

    One with a default is missing only if somebody has set it to null.
    """
    return [
        f"{name} is missing from {place}: {description(option)}"
        for name, option in schema.items()
        if (option.get("required") is True or "default" in option) and given.get(name) is None
    ]


def mistyped_texts(given: Mapping[str, object], schema: Options) -> list[str]:
    """Refuse lists, mappings and booleans in place of text: Ansible would make text of them that nobody meant."""
    return [
        f"{name} must be text, not {_kind(given[name])}: {description(option)}"
        for name, option in schema.items()
        if option.get("type", "str") in ("str", "path") and isinstance(given.get(name), bool | dict | list)
    ]


def placeholders(given: Mapping[str, object]) -> list[str]:
    """Refuse names and addresses in the domains reserved for examples: nobody has edited them."""
    return [
        f"{name} is still the example {text!r}: give your own"
        for name, value in given.items()
        for text in _texts(value)
        if _EXAMPLE.fullmatch(text)
    ]


def unmatched(given: Mapping[str, object], schema: Options) -> list[str]:
    """Refuse texts that do not match the schema's `pattern`."""
    problems = [
        f"{name} is {given[name]!r}: {description(option)}"
        for name, option in schema.items()
        if "pattern" in option and name in given and not re.fullmatch(str(option["pattern"]), str(given[name]))
    ]
    for name, item, nested in _nested(given, schema):
        problems += [f"{name}: {problem}" for problem in unmatched(item, nested)]
    return problems


def missing_files(given: Mapping[str, object], schema: Options) -> list[str]:
    """Refuse files and folders of the control machine that do not exist, if the schema says that they `must_exist`.

    A text that need not be a path counts only if it is an absolute path or begins with `~/`.
    """
    problems = []
    for name, option in schema.items():
        if option.get("must_exist") is True:
            texts = _texts(given.get(name))
            paths = [text for text in texts if option.get("type") != "str" or text.startswith(("/", "~/"))]
            problems += [
                f"{name} names {path}, which does not exist: {description(option)}"
                for path in paths
                if not Path(path).expanduser().exists()
            ]
    for name, item, nested in _nested(given, schema):
        problems += [f"{name}: {problem}" for problem in missing_files(item, nested)]
    return problems


def _nested(given: Mapping[str, object], schema: Options) -> Iterator[tuple[str, Mapping[str, object], Options]]:
    """List the mappings within inputs, each with the input's name and the schema's options of it."""
    for name, option in schema.items():
        value, nested = given.get(name), option.get("options")
        if isinstance(nested, Mapping):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Mapping):
                    yield name, item, nested


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def description(option: Mapping[str, object]) -> str:
    """Return the description of an option as one line."""
    text = option.get("description", "")
    lines: Sequence[object] = text if isinstance(text, list) else [text]
    return " ".join(str(line).strip() for line in lines)
