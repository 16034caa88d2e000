"""What is written from an argument spec, and that drift is found and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from parrotpark.docs import roles

ENTRY: dict[str, Any] = {
    "short_description": "A shed",
    "description": ["Builds a shed.", "Paints it."],
    "options": {
        "shed_doors": {"type": "int", "default": 1, "description": "How many doors."},
        "shed_key": {"type": "str", "required": True, "no_log": True, "description": "Opens a | b."},
        "shed_shelves": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "description": "Its shelves.",
            "options": {"colour": {"type": "str", "choices": ["red", "blue"], "description": "Colour of one."}},
        },
    },
    "examples": "- hosts: garden\n",
}

DEFAULTS = """---
# An old line
shed_doors: 1

shed_shelves:
  # kept: it explains the value
  - colour: red
"""


@pytest.fixture
def role(tmp_path: Path) -> Path:
    role = tmp_path / "shed"
    (role / "meta").mkdir(parents=True)
    (role / "defaults").mkdir()
    (role / "meta/argument_specs.yml").write_text(yaml.safe_dump({"argument_specs": {"main": ENTRY}}))
    (role / "defaults/main.yml").write_text(DEFAULTS)
    return role


def test_lists_nested_options_by_their_full_name() -> None:
    names = [option.name for option in roles.options_of(ENTRY["options"])]
    assert names == ["shed_doors", "shed_key", "shed_shelves", "shed_shelves[].colour"]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("shed_doors", "| `shed_doors` | int | `1` | How many doors. |"),
        ("shed_key", r"| `shed_key` | str | required | Opens a \| b. Secret: never logged. |"),
        ("shed_shelves", "| `shed_shelves` | list of dict | `[]` | Its shelves. |"),
        ("shed_shelves[].colour", "| `shed_shelves[].colour` | str |  | Colour of one. One of `red`, `blue`. |"),
    ],
)
def test_says_of_an_option_all_there_is_to_know(name: str, row: str) -> None:
    [option] = [option for option in roles.options_of(ENTRY["options"]) if option.name == name]
    assert roles.row(option) == row


def test_readme_holds_purpose_options_and_example() -> None:
    text = roles.readme("shed", {"main": ENTRY})
    assert text.startswith("# shed\n\nBuilds a shed.\n\nPaints it.\n\n## Options\n")
    assert "```yaml\n- hosts: garden\n```" in text


def test_readme_tells_of_another_entry_point_what_main_does_not() -> None:
    options = ENTRY["options"]
    paint = {"shed_paint": {"type": "str", "description": "Its colour."}}
    entries = {
        "main": ENTRY,
        "paint": {"description": "Paints it.", "options": {"shed_doors": options["shed_doors"], **paint}},
        "burn": {"description": "Burns it.", "options": options},
    }
    assert roles.readme("shed", entries).partition("```\n\n")[2].splitlines()[:-1] == [
        *("## Entry point `paint`", "", "Paints it.", "", "Takes `shed_doors` of the role.", ""),
        *("| Option | Type | Default | Meaning |", "|---|---|---|---|", "| `shed_paint` | str |  | Its colour. |", ""),
        *("## Entry point `burn`", "", "Burns it.", "", "Takes all options of the role.", ""),
    ]


def test_replaces_comments_over_options_and_keeps_those_within_values() -> None:
    assert roles.annotate(DEFAULTS, ENTRY) == (
        "---\n# How many doors.\nshed_doors: 1\n\n# Its shelves.\nshed_shelves:\n"
        "  # kept: it explains the value\n  - colour: red\n"
    )


def test_annotating_twice_changes_nothing() -> None:
    once = roles.annotate(DEFAULTS, ENTRY)
    assert roles.annotate(once, ENTRY) == once


def test_check_names_what_has_drifted_and_writes_nothing(role: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert roles.main(["--check", str(role)]) == 1
    assert capsys.readouterr().out.splitlines() == [str(role / "README.md"), str(role / "defaults/main.yml")]
    assert not (role / "README.md").exists()


def test_writes_once(role: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert roles.main([str(role)]) == 0
    capsys.readouterr()
    assert roles.main(["--check", str(role)]) == 0
    assert capsys.readouterr().out == ""


def test_names_what_a_spec_lacks(role: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"argument_specs": {"main": {key: value for key, value in ENTRY.items() if key != "examples"}}}
    (role / "meta/argument_specs.yml").write_text(yaml.safe_dump(spec))
    with pytest.raises(SystemExit):
        roles.main([str(role)])
    assert "shed/meta/argument_specs.yml: 'examples' is missing" in capsys.readouterr().err


def test_the_page_of_the_inputs_drifts_like_a_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("inventories", "docs"):
        (tmp_path / folder).mkdir()
    option = "{type: str, required: true, description: Its name.}"
    other = "{type: int, default: 2, description: How many.}"
    roles.INPUTS.write_text(
        f"argument_specs: {{cage: {{short_description: Its cage, options: {{parrot_name: {option}}}}},"
        f" food: {{short_description: Its food, options: {{parrot_nuts: {other}}}}}}}"
    )
    assert roles.main(["--check"]) == 1
    assert roles.main([]) == 0
    cage, food = roles.INPUTS_PAGE.read_text().split("## ")[1:]
    assert cage.startswith("Its cage\n\n| Input |")
    assert "| `parrot_name` | str | required | Its name. |" in cage
    assert food.startswith("Its food\n\n| Input |")
    assert "| `parrot_nuts` | int | `2` | How many. |" in food
    capsys.readouterr()
    assert roles.main(["--check"]) == 0
    assert capsys.readouterr().out == ""
