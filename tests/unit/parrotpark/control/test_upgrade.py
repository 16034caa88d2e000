"""What a newer version says before it goes on, and that CHANGELOG.md and the table of old names can be read by it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control import upgrade
from parrotpark.control.preflight import Setting
from parrotpark.docs import roles

ROOT = Path(__file__).parents[4]
CHANGELOG = """# Changelog

What a version asks of you.

## 0.10.0

- This affects you if you drew the picture: draw
  it anew.

## 0.2.1

## 0.2.0

- This affects you if you have a parrot: feed it.
- This affects you if you have a park: mow it.
"""
NUMBER = st.integers(0, 12)
VERSION = st.tuples(NUMBER, NUMBER, NUMBER)


def text(version: upgrade.Version) -> str:
    return ".".join(map(str, version))


def changelog(versions: list[upgrade.Version]) -> str:
    return "".join(f"\n## {text(each)}\n\n- This affects you if you had {text(each)}: go.\n" for each in versions)


CHANGELOGS = st.lists(VERSION, unique=True, min_size=1).map(lambda found: changelog(sorted(found, reverse=True)))


def test_a_newer_version_names_what_changed_since_and_how_to_go_on() -> None:
    assert upgrade.news("0.1.0", CHANGELOG) == [
        "parrotpark_checked_version is 0.1.0, and this is 0.10.0. CHANGELOG.md says:",
        "0.10.0: This affects you if you drew the picture: draw it anew.",
        "0.2.0: This affects you if you have a parrot: feed it.",
        "0.2.0: This affects you if you have a park: mow it.",
        "Do what affects you, set parrotpark_checked_version: 0.10.0, and run again",
    ]


def test_versions_are_compared_by_their_numbers() -> None:
    assert len(upgrade.news("0.2.0", CHANGELOG)) == len(upgrade.news("0.9.9", CHANGELOG)) == 3
    assert upgrade.news("0.10.0", CHANGELOG) == []


def test_a_version_that_changes_nothing_for_anybody_asks_nothing() -> None:
    assert (
        upgrade.news("0.2.0", CHANGELOG.replace("- This affects you if you drew the picture: draw\n  it anew.", ""))
        == []
    )


def test_an_inventory_from_before_the_input_is_told_everything_since() -> None:
    assert upgrade.news(None, CHANGELOG) == upgrade.news("0.1.0", CHANGELOG)


def test_nobody_goes_back_unawares() -> None:
    (line,) = upgrade.news("1.0.0", CHANGELOG)
    assert line.startswith("parrotpark_checked_version is 1.0.0, newer than this, 0.10.0: ")


@pytest.mark.parametrize("checked", ["put-the-version-here", "0.1", 0.1, ["0.1.0"]])
def test_what_is_no_version_is_left_to_the_schema(checked: object) -> None:
    assert upgrade.news(checked, CHANGELOG) == []


@given(CHANGELOGS, VERSION)
def test_it_stops_just_where_something_lies_between_and_telling_it_goes_on(log: str, checked: upgrade.Version) -> None:
    newest = upgrade.newest(log)
    assert bool(upgrade.news(text(checked), log)) == (checked != newest)
    assert upgrade.news(text(newest), log) == []


@given(CHANGELOGS, VERSION, VERSION)
def test_two_steps_name_what_one_step_names(log: str, one: upgrade.Version, other: upgrade.Version) -> None:
    """Who upgrades seldom misses nothing, and sees nothing twice."""
    early, late = sorted((one, other))
    changes = upgrade.changes(log)
    first = [change for change in changes if early < change.version <= late]
    assert upgrade.since(late, changes) + first == upgrade.since(early, changes)


def test_an_old_name_is_refused_with_the_new_one() -> None:
    settings = [Setting("parrotpark_old", "a.yml"), Setting("parrotpark_new", "a.yml")]
    assert upgrade.renamed(settings, {"parrotpark_old": "parrotpark_new"}) == [
        "parrotpark_old in a.yml is now parrotpark_new: docs/inputs.md explains it"
    ]


def test_a_good_changelog_has_no_faults() -> None:
    assert upgrade.faults(CHANGELOG, "0.10.0") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "- This affects you if you have a park: mow it.",
            "- We mow the park.",
            "line 15 is not an entry: '- We mow",
        ),
        ("park: mow it", "park, and mow it", "line 15 is not an entry: '- This affects you if you have a park, and"),
        ("  it anew.", "it anew.", "line 8 is not an entry: 'it anew.'"),
        ("park: mow it.", "park:", "line 15 is not an entry"),
        ("## 0.2.1", "## v0.2.1", "line 10 is not an entry: '## v0.2.1'"),
        ("## 0.2.1", "## 0.1.9", "0.2.0 is below 0.1.9: put the newest first"),
        ("## 0.10.0", "## 0.11.0", "its newest version is 0.11.0, that of pyproject.toml 0.10.0"),
    ],
)
def test_what_a_run_could_not_read_is_a_fault(old: str, new: str, fault: str) -> None:
    (found,) = upgrade.faults(CHANGELOG.replace(old, new), "0.10.0")
    assert found.startswith(fault)


def test_an_empty_changelog_is_a_fault() -> None:
    assert upgrade.faults("# Changelog\n", "0.1.0") == ["it names no version"]


def test_lint_fails_on_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.10.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    assert upgrade.main() == 0
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG + "Also:\n")
    assert upgrade.main() == 1
    assert capsys.readouterr().out == "CHANGELOG.md: line 16 is not an entry: 'Also:'\n"


def test_every_new_name_of_the_table_is_an_input_and_no_old_one_is() -> None:
    table = yaml.safe_load((ROOT / "inventories/renamed.yml").read_text())
    specification = yaml.safe_load((ROOT / "inventories/inputs.yml").read_text())["argument_specs"]
    inputs = {option.name for entry in specification.values() for option in roles.options_of(entry["options"])}
    assert set(table.values()) <= inputs
    assert table.keys() & inputs == set()


def test_every_old_name_stands_in_the_changelog() -> None:
    table = yaml.safe_load((ROOT / "inventories/renamed.yml").read_text())
    assert [name for name in table if f"`{name}`" not in (ROOT / "CHANGELOG.md").read_text()] == []


def test_the_local_default_follows_the_version_and_every_other_inventory_is_its_owners_to_check() -> None:
    """A version shipped for production would be merged with the next one, and nobody would have checked anything."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = {
        file.parts[-3]: yaml.safe_load(file.read_text())["parrotpark_checked_version"]
        for file in ROOT.glob("inventories/*/group_vars/all.yml")
    }
    assert said.pop("local") == version
    assert set(said.values()) == {"put-the-version-here"}
