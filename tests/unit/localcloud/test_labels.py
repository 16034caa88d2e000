"""Label selectors against a reading of them that is plain to see, and labels against the documented limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.core.labels import problems, selector

keys = st.sampled_from(["a", "b", "in", "notin", "parrotpark-role", "example.com/tier"])
values = st.sampled_from(["", "x", "y", "in", "1.2_3-4"])
spaces = st.sampled_from(["", " "])
labels = st.dictionaries(keys, values)


@st.composite
def requirements(draw: st.DrawFn) -> tuple[str, str, str, list[str]]:
    """One requirement: its text, the key, the operator and the values."""
    key, space = draw(keys), draw(spaces)
    operator = draw(st.sampled_from(["has", "lacks", "=", "==", "!=", "in", "notin"]))
    some = draw(st.lists(values, min_size=1, max_size=3 if "in" in operator else 1))
    text = {
        "has": f"{space}{key}{space}",
        "lacks": f"{space}!{space}{key}",
        "in": f"{key} in {space}({f'{space},{space}'.join(some)})",
        "notin": f"{key} notin{space}({space}{','.join(some)}{space}){space}",
    }.get(operator, f"{key}{space}{operator}{space}{some[0]}")
    return text, key, operator, some


def holds(requirement: tuple[str, str, str, list[str]], labels: dict[str, str]) -> bool:
    """The documented meaning, written down once more."""
    _, key, operator, some = requirement
    match operator:
        case "has":
            return key in labels
        case "lacks":
            return key not in labels
        case "=" | "==" | "in":
            return key in labels and labels[key] in some
        case _:
            return key not in labels or labels[key] not in some


@given(st.lists(requirements(), min_size=1, max_size=4), labels)
def test_selector_means_what_is_documented(
    parts: list[tuple[str, str, str, list[str]]], labels: dict[str, str]
) -> None:
    text = ",".join(part[0] for part in parts)
    assert selector(text)(labels) == all(holds(part, labels) for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "a,",
        ",a",
        "a b",
        "a=b=c",
        "a===b",
        "a in b",
        "a in ()b",
        "a in (b",
        "!a=b",
        "!",
        "=b",
        "a=b:c",
        "a\n=b\n c",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not correctly formatted"):
        selector(text)


@given(st.text(max_size=200))
def test_any_text_is_compiled_or_refused(text: str) -> None:
    try:
        selector(text)({"a": "b"})
    except ValueError:
        return


@pytest.mark.parametrize(
    ("key", "value"),
    [("a", ""), ("a", "b"), ("a" * 63, "b" * 63), ("example.com/a", "1_2.3-4"), ("p" * 253 + "/a", "b"), ("A9", "Z")],
)
def test_valid_labels(key: str, value: str) -> None:
    assert problems({key: value}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "b"),
        ("a" * 64, "b"),
        ("a", "b" * 64),
        ("a:b", "c"),
        ("a", "12:00"),
        ("-a", "b"),
        ("a-", "b"),
        ("a", "-b"),
        ("a/b/c", "d"),
        ("/a", "b"),
        ("a/", "b"),
        ("p" * 254 + "/a", "b"),
        ("ä", "b"),
        ("a\n", "b"),
        ("a", "b\n"),
        ("a b", "c"),
    ],
)
def test_invalid_labels(key: str, value: str) -> None:
    assert len(problems({key: value})) == 1


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_valid_labels_can_be_selected(labels: dict[str, str]) -> None:
    valid = {key: value for key, value in labels.items() if not problems({key: value})}
    for key, value in valid.items():
        assert selector(f"{key}={value}")(valid)
        assert selector(f"{key} in ({value})")(valid)
        assert not selector(f"!{key}")(valid)
