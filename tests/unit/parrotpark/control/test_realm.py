"""A declared realm against a Keycloak in memory: what differs is named and set right, and the rest is left alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parrotpark.control.realm import DIGEST, KINDS, MASK, Call, Json, NotKept, differences, keep, merged

DECLARED: Json = {
    "realm": {"realm": "aviary", "passwordPolicy": "length(12)", "locales": ["de", "en"], "attributes": {"url": "a"}},
    "roles": {"admin": {"description": "all"}, "user": {"description": "some"}},
    "groups": {"Keepers": {"realmRoles": ["admin", "user"]}, "Nobody": {"realmRoles": []}},
    "clients": {
        "chat": {
            "secret": "s3cret",
            "redirectUris": ["https://a/"],
            "protocolMappers": {"groups": {"config": {"x": "y"}}},
        },
        "verbs": {"serviceAccountsEnabled": True},
    },
    "serviceAccounts": {"verbs": {"realmRoles": ["view-users"]}},
    "identityProviders": {"county": {"config": {"clientSecret": "hidden", "url": "u"}}},
    "userFederation": {"ldap": {"config": {"bindCredential": ["hidden too"], "url": ["u"]}}},
    "requiredActions": {"TOTP": {"enabled": True}},
}
NEW_REALM: Json = {"enabled": False, "passwordPolicy": "", "attributes": {}, "theirs": "stays"}
MANAGEMENT = {"view-users": {"id": "v", "name": "view-users"}, "realm-admin": {"id": "r", "name": "realm-admin"}}


class Keycloak:
    """Keeps representations as the real one does, as far as we ask it to."""

    def __init__(self) -> None:
        self.realm: Json | None = None
        self.things: dict[str, dict[str, Json]] = {kind.collection: {} for kind in KINDS.values()}
        self.things["/authentication/required-actions"] = {"TOTP": {"alias": "TOTP", "enabled": False}}
        self.things["/clients"] = {"management": {"id": "management", "clientId": "realm-management"}}
        self.given: dict[str, list[Json]] = {}
        self.ids = count()
        self.forgets = ""

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        return [self.answer(call.method, call.path.partition("?")[0], copy.deepcopy(call.body)) for call in calls]

    def answer(self, method: str, path: str, body: Any) -> Any:
        path = path.removeprefix("/aviary")
        collection = next((each for each in self.things if path.startswith(each)), "")
        rest = path.removeprefix(collection).strip("/")
        if "role-mappings" in path or "service-account-user" in path:
            return self.roles(method, path, body)
        if collection and "protocol-mappers" in rest:
            return self.mapper(rest, body)
        if collection:
            return self.thing(method, collection, rest, body)
        if method == "GET":
            return self.realm if self.realm is None else shown(self.realm)
        self.realm = {**(self.realm or NEW_REALM), **{key: value for key, value in body.items() if key != self.forgets}}
        return None

    def thing(self, method: str, collection: str, item: str, body: Any) -> Any:
        kind = next(each for each in KINDS.values() if each.collection == collection)
        there = self.things[collection]
        if item == "management/roles":
            return list(MANAGEMENT.values())
        if method == "GET":
            return None if self.realm is None else [shown(self.group(each)) for each in there.values()]
        if method == "POST":
            assert body[kind.name] not in [each[kind.name] for each in there.values()]
            body = {"id": f"id {next(self.ids)}", "theirs": "stays", **body}
            if collection == "/groups":
                body.pop("realmRoles")
            for mapper in body.get("protocolMappers", []):
                mapper["id"] = f"id {next(self.ids)}"
            there[body[kind.item]] = body
        else:
            item = item.replace("%20", " ")
            mappers = {key: there[item][key] for key in ("protocolMappers",) if key in there[item]}
            there[item] = {**there[item], **body, **mappers}
        return None

    def group(self, thing: Json) -> Json:
        names = [role["name"] for role in self.given.get(thing.get("id", ""), [])]
        return {**thing, "realmRoles": names}

    def mapper(self, rest: str, body: Any) -> None:
        client = self.things["/clients"][rest.split("/")[0].replace("%20", " ")]
        others = [each for each in client["protocolMappers"] if each["name"] != body["name"]]
        client["protocolMappers"] = [*others, {"id": f"id {next(self.ids)}", **body}]

    def roles(self, method: str, path: str, body: Any) -> Any:
        if "service-account-user" in path:
            return {"id": "user"}
        holder = path.split("/")[2]
        have = self.given.setdefault(holder, [])
        if method == "GET":
            return have
        names = [role["name"] for role in body]
        kept = [role for role in have if role["name"] not in names]
        self.given[holder] = [*kept, *(body if method == "POST" else [])]
        return None


def shown(value: Any, key: str = "") -> Any:
    """What Keycloak shows of what it has."""
    if key in ("clientSecret", "password"):
        return MASK
    if key == "bindCredential":
        return [MASK]
    if isinstance(value, dict):
        return {inner: shown(each, inner) for inner, each in value.items()}
    return copy.deepcopy(value)


@pytest.fixture
def keycloak() -> Keycloak:
    return Keycloak()


def kept() -> Keycloak:
    keycloak = Keycloak()
    keep(keycloak, DECLARED)
    return keycloak


def said(found: Sequence[Any]) -> set[str]:
    return {" / ".join(each.path) for each in found}


def test_an_empty_keycloak_gets_all_of_it_and_then_nothing(keycloak: Keycloak) -> None:
    plan = keep(keycloak, DECLARED, check=True)
    assert keycloak.realm is None
    assert said(keep(keycloak, DECLARED)) == said(plan)
    assert {"realm", "groups / Keepers", "groups / Nobody", "clients / chat / protocolMappers / groups"} <= said(plan)
    assert keep(keycloak, DECLARED) == []


def test_what_is_not_declared_stays(keycloak: Keycloak) -> None:
    keycloak.realm = {**NEW_REALM, "realm": "aviary", "attributes": {"theirs": "stays"}}
    keycloak.things["/clients"]["f"] = foreign = {"id": "f", "clientId": "foreign", "secret": "theirs"}
    keycloak.things["/groups"]["g"] = choir = {"id": "g", "name": "Choir"}
    keep(keycloak, DECLARED)
    assert keycloak.realm["attributes"]["theirs"] == keycloak.realm["theirs"] == "stays"
    assert (keycloak.things["/clients"]["f"], keycloak.things["/groups"]["g"]) == (foreign, choir)


def leaves(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        yield from leaves(inner, (*path, key)) if isinstance(inner, dict) else [(*path, key)]


VISIBLE = [
    path
    for path in leaves({key: value for key, value in DECLARED.items() if key not in ("serviceAccounts", "groups")})
    if path[-1] not in ("clientSecret", "bindCredential") and path != ("realm", "realm")
]


def spoil(keycloak: Keycloak, path: tuple[str, ...]) -> None:
    """Change what stands there."""
    kind, *inner = path
    thing: Any = keycloak.realm
    if kind != "realm":
        name, *inner = inner
        (thing,) = [each for each in keycloak.things[KINDS[kind].collection].values() if each[KINDS[kind].name] == name]
    *way, last = inner
    for key in way:
        thing = next(each for each in thing if each["name"] == key) if isinstance(thing, list) else thing[key]
    thing[last] = ["changed"] if isinstance(thing[last], list) else "changed"


@settings(max_examples=40)
@given(st.lists(st.sampled_from(VISIBLE), unique=True, min_size=1))
def test_each_change_is_named_and_set_right(paths: list[tuple[str, ...]]) -> None:
    keycloak = kept()
    for path in paths:
        spoil(keycloak, path)
    expected = {" / ".join(path) for path in paths}
    assert said(keep(keycloak, DECLARED, check=True)) == expected
    assert said(keep(keycloak, DECLARED)) == expected
    assert keep(keycloak, DECLARED) == []


def test_a_role_too_many_is_taken_away() -> None:
    keycloak = kept()
    keycloak.given["user"].append(MANAGEMENT["realm-admin"])
    (difference,) = keep(keycloak, DECLARED)
    assert difference.line(difference.found) == 'serviceAccounts / verbs / realmRoles: ["realm-admin", "view-users"]\n'
    assert keycloak.given["user"] == [MANAGEMENT["view-users"]]


@pytest.mark.parametrize(("kind", "name", "key"), [
    ("identityProviders", "county", "clientSecret"), ("userFederation", "ldap", "bindCredential"),
])  # fmt: skip
def test_a_secret_that_keycloak_does_not_show_is_set_when_another_is_declared(kind: str, name: str, key: str) -> None:
    keycloak, declared = kept(), copy.deepcopy(DECLARED)
    declared[kind][name]["config"][key] = new = ["new"] if key == "bindCredential" else "new"
    found = keep(keycloak, declared)
    assert f"{kind} / {name} / config / {key}" in said(found)
    assert keep(keycloak, declared) == []
    (thing,) = keycloak.things[KINDS[kind].collection].values()
    assert thing["config"][key] == new


def test_a_plan_shows_no_secret(keycloak: Keycloak) -> None:
    lines = [each.line(value) for each in keep(keycloak, DECLARED) for value in (each.found, each.wanted)]
    assert "clients / chat / secret: as declared\n" in lines
    assert [line for line in lines for secret in ("s3cret", "hidden") if secret in line] == []
    assert f"realm / attributes / {DIGEST}: as declared\n" in lines


def test_what_keycloak_does_not_keep_ends_the_run(keycloak: Keycloak) -> None:
    keycloak.forgets = "passwordPolicy"
    with pytest.raises(NotKept, match=r"^Keycloak does not keep realm / passwordPolicy: length\(12\)$"):
        keep(keycloak, DECLARED)


@pytest.mark.parametrize(("wanted", "found", "differs"), [
    ("", None, False), (0, None, False), (False, None, False), ([], None, False), ({}, None, True),
    ("", "x", True), (0, 1, True), (False, True, True), (True, None, True), (["a"], None, True),
])  # fmt: skip
def test_what_is_left_out_is_off_or_empty(wanted: Any, found: Any, differs: bool) -> None:
    assert bool(list(differences({"key": wanted}, {"key": found}))) is differs


VALUES = st.recursive(
    st.text(max_size=3) | st.booleans() | st.integers() | st.lists(st.text(max_size=2), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=2), VALUES), st.dictionaries(st.text(max_size=2), VALUES))
def test_what_was_merged_differs_no_more_and_lost_nothing(wanted: Json, found: Json) -> None:
    result = merged(found, wanted)
    assert list(differences(wanted, result)) == []
    assert {key: result[key] for key in found.keys() - wanted.keys()} == {
        key: found[key] for key in found.keys() - wanted.keys()
    }


@given(VALUES)
def test_nothing_differs_from_itself_however_its_lists_are_ordered(value: Any) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(inner) for key, inner in value.items()}
        return value[::-1] if isinstance(value, list) else value

    assert list(differences(value, turned(json.loads(json.dumps(value))))) == []
