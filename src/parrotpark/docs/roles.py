"""Write every role's README and the comments of its defaults from its argument spec, the page of the inputs, a picture.

The specs are the one text about options that is written by hand; what this module writes from them cannot disagree
with them. Run `python -m parrotpark.docs.roles` to write, and with `--check` to fail on drift.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from parrotpark.docs import picture

Spec = Mapping[str, Any]

COMMENT_WIDTH = 118

INPUTS = Path("inventories/inputs.yml")
INPUTS_PAGE = Path("docs/inputs.md")


class SpecError(Exception):
    """An argument spec lacks something its documentation is made of."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the options table."""

    name: str
    """Full name; `databases[].owner` is the key `owner` of each element of the list `databases`."""
    type: str
    required: bool
    secret: bool
    default: Any
    choices: Sequence[Any]
    description: str


def options_of(options: Spec, parent: str = "") -> Iterator[Option]:
    """Yield every option of a spec, each followed by the options nested in it."""
    for key, spec in options.items():
        name = f"{parent}.{key}" if parent else key
        kind = spec.get("type", "str")
        is_list = kind == "list"
        yield Option(
            name=name,
            type=f"list of {spec['elements']}" if is_list else kind,
            required=spec.get("required", False),
            secret=spec.get("no_log", False),
            default=spec.get("default"),
            choices=spec.get("choices", ()),
            description=" ".join(paragraphs(spec["description"])),
        )
        yield from options_of(spec.get("options", {}), f"{name}[]" if is_list else name)


def paragraphs(description: str | Sequence[str]) -> list[str]:
    """Return a description, which a spec may give as one text or as a list of them, as paragraphs."""
    texts = [description] if isinstance(description, str) else description
    return [text.strip() for text in texts]


def row(option: Option) -> str:
    """Return the option as one line of a Markdown table."""
    if option.required:
        default = "required"
    elif option.default is None:
        default = ""
    else:
        default = f"`{json.dumps(option.default, ensure_ascii=False)}`"
    notes = [option.description]
    if option.choices:
        notes.append("One of " + ", ".join(f"`{choice}`" for choice in option.choices) + ".")
    if option.secret:
        notes.append("Secret: never logged.")
    cells = (f"`{option.name}`", option.type, default, " ".join(notes))
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def table(heading: str, options: Spec) -> list[str]:
    """Return options as a Markdown table."""
    head = [f"| {heading} | Type | Default | Meaning |", "|---|---|---|---|"]
    return [*head, *(row(option) for option in options_of(options))]


def entry_point(name: str, entry: Spec, main: Spec) -> Iterator[str]:
    """Yield the section of an entry point other than main; it does not repeat what it shares with main."""
    shared = [option for option, spec in entry["options"].items() if main["options"].get(option) == spec]
    own = {option: spec for option, spec in entry["options"].items() if option not in shared}
    yield from (f"## Entry point `{name}`", "")
    for paragraph in paragraphs(entry["description"]):
        yield from (*textwrap.wrap(paragraph, COMMENT_WIDTH), "")
    if shared:
        which = "all options" if len(shared) == len(main["options"]) else ", ".join(f"`{option}`" for option in shared)
        yield from (*textwrap.wrap(f"Takes {which} of the role.", COMMENT_WIDTH, break_on_hyphens=False), "")
    if own:
        yield from (*table("Option", own), "")


def readme(role: str, entries: Mapping[str, Spec]) -> str:
    """Return the text of a role's README."""
    others = dict(entries)
    main = others.pop("main")
    lines = [f"# {role}", ""]
    for paragraph in paragraphs(main["description"]):
        lines += [*textwrap.wrap(paragraph, COMMENT_WIDTH), ""]
    lines += ["## Options", "", *table("Option", main["options"]), ""]
    lines += ["## Example", "", "```yaml", main["examples"].rstrip(), "```", ""]
    for name, entry in others.items():
        lines += entry_point(name, entry, main)
    lines += ["Written by `python -m parrotpark.docs.roles` from `meta/argument_specs.yml`: edit that file."]
    return "\n".join(lines) + "\n"


def inputs_page(entries: Mapping[str, Spec]) -> str:
    """Return the text of the page about the inputs, which has a section for each entry point."""
    lines = [
        "# Inputs",
        "",
        "What you set in `inventories/<name>/group_vars/all.yml`; preflight refuses every other name. What is required",
        "is yours to decide; everything else has the default shown here, or may be left out.",
        "",
    ]
    for entry in entries.values():
        lines += [f"## {entry['short_description']}", "", *table("Input", entry["options"]), ""]
    lines += [f"Written by `python -m parrotpark.docs.roles` from `{INPUTS}`: edit that file."]
    return "\n".join(lines) + "\n"


def annotate(defaults: str, entry: Spec) -> str:
    """Return the text of a defaults file with the description of each option above it.

    Comments at the start of a line belong to the generator, those within a value to the author.
    """
    lines: list[str] = []
    for line in defaults.splitlines():
        if line.startswith("#"):
            continue
        key, colon, _ = line.partition(":")
        if colon and key in entry["options"]:
            text = " ".join(paragraphs(entry["options"][key]["description"]))
            lines += [f"# {part}" for part in textwrap.wrap(text, COMMENT_WIDTH - 2)]
        lines.append(line)
    return "\n".join(lines) + "\n"


def entries(source: Path) -> Mapping[str, Spec]:
    """Return the entry points of a spec."""
    found: Mapping[str, Spec] = yaml.safe_load(source.read_text())["argument_specs"]
    return found


def generated(role: Path) -> dict[Path, str]:
    """Return the files to be generated for a role, as they should read.

    Raises SpecError if the spec lacks what the files are made of.
    """
    source = role / "meta/argument_specs.yml"
    specs = entries(source)
    defaults = role / "defaults/main.yml"
    try:
        files = {role / "README.md": readme(role.name, specs)}
        if defaults.exists():
            files[defaults] = annotate(defaults.read_text(), specs["main"])
    except KeyError as missing:
        raise SpecError(f"{source}: {missing} is missing") from missing
    return files


def drift(roles: Iterable[Path]) -> dict[Path, str]:
    """Return the generated files that do not read as they should, with the text they should have.

    Raises SpecError as `generated` does.
    """
    wanted: dict[Path, str] = {}
    for role in roles:
        wanted |= generated(role)
    return differing(wanted)


def differing(wanted: Mapping[Path, str]) -> dict[Path, str]:
    """Return those of the files that do not read as they should."""
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what has drifted; with `--check` only name it and return 1."""
    parser = argparse.ArgumentParser(prog="parrotpark.docs.roles", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file has drifted")
    parser.add_argument("roles", nargs="*", type=Path, metavar="ROLE", help="directory of a role (default: roles/*)")
    options = parser.parse_args(arguments)
    roles = options.roles or sorted(spec.parent.parent for spec in Path("roles").glob("*/meta/argument_specs.yml"))
    try:
        drifted = drift(roles)
        if not options.roles and INPUTS.exists():
            drifted |= differing({INPUTS_PAGE: inputs_page(entries(INPUTS))})
        if not options.roles and picture.PAGE.exists():
            drifted |= differing({picture.PAGE: picture.page(Path())})
    except (SpecError, picture.PictureError) as error:
        parser.error(str(error))
    for path, text in drifted.items():
        if not options.check:
            path.write_text(text)
        print(path)
    return 1 if drifted and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
