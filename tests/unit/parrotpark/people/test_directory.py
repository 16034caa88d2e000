"""People in a realm in memory: invited once, let in again, and refused in words."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parrotpark.people.cli import ensure, invited, line
from parrotpark.people.directory import Directory, Refused

ADA = "ada@example.org"


class Realm:
    """As much of the admin API as people need."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.members: dict[str, set[str]] = {"staff": set(), "administrators": set()}
        self.signed_in: set[str] = set()
        self.calls: list[tuple[str, str, Any]] = []

    def call(self, method: str, path: str, body: Any = None) -> Any:
        self.calls.append((method, path, body))
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match [method, *url.path.strip("/").split("/")]:
            case ["GET", "users"] if "email" in query:
                return [user for user in self.users.values() if user["email"] == query["email"].lower()]
            case ["GET", "users"]:
                first = int(query["first"])
                return [*self.users.values()][first : first + int(query["max"])]
            case ["GET", "events"]:
                return [{"time": 1_764_115_200_000}] if query["user"] in self.signed_in else []
            case ["POST", "users"]:
                number = f"id-{len(self.users)}"
                self.users[number] = {**body, "id": number, "email": body["email"].lower()}
            case ["GET", "groups"]:
                return [{"name": name, "id": f"group-{name}"} for name in self.members]
            case ["GET", "users", number, "groups"]:
                return [{"name": name} for name, members in self.members.items() if number in members]
            case ["PUT", "users", number, "groups", group]:
                self.members[group.removeprefix("group-")].add(number)
            case ["PUT", "users", number, "reset-password"]:
                self.users[number]["password"] = body
            case ["DELETE", "users", number]:
                del self.users[number]
        return None


@pytest.fixture
def realm() -> Realm:
    return Realm()


def test_who_is_invited_gets_a_password_for_once(realm: Realm) -> None:
    invitation = Directory(realm.call).invite(ADA, "Ada King Lovelace", ["staff"])
    assert (invitation.is_new, invitation.person.name, invitation.person.groups) == (
        True,
        "Ada King Lovelace",
        ("staff",),
    )
    assert realm.users["id-0"]["password"] == {"type": "password", "value": invitation.password, "temporary": True}
    assert len(invitation.password) >= 12


def test_who_is_invited_again_keeps_groups_and_gets_another_password(realm: Realm) -> None:
    directory = Directory(realm.call)
    first, second = directory.invite(ADA, "Ada", ["staff"]), directory.invite("ADA@example.org", "", ["administrators"])
    assert (second.is_new, len(realm.users), second.person.groups) == (False, 1, ("staff", "administrators"))
    assert first.password != second.password
    assert ("POST", "/users/id-0/logout", None) in realm.calls


def test_with_a_mail_server_the_person_alone_sees_the_way_in(realm: Realm) -> None:
    invitation = Directory(realm.call, sends_mail=True).invite(ADA, "", ["staff"])
    assert invitation.password == ""
    assert "password" not in realm.users["id-0"]
    assert [body for method, path, body in realm.calls if "execute-actions-email" in path] == [["UPDATE_PASSWORD"]]
    assert "mail with a link" in "\n".join(invited(invitation, "https://chat.example.org"))


@pytest.mark.parametrize(
    "email", ["", "ada", "ada@", "ada@example", "@example.org", "a da@example.org", "a/b@example.org"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(realm: Realm, email: str) -> None:
    with pytest.raises(Refused, match="is not a mail address: PERSON must be one"):
        Directory(realm.call).invite(email, "", ["staff"])
    assert realm.calls == []


@pytest.mark.parametrize(
    ("groups", "says"), [(["stuff"], "no group stuff: GROUP is one of"), ([], "give a GROUP, one of")]
)
def test_who_could_not_come_in_is_not_made(realm: Realm, groups: list[str], says: str) -> None:
    with pytest.raises(Refused, match=says):
        Directory(realm.call).invite(ADA, "", groups)
    assert realm.users == {}


def test_everybody_is_listed_and_no_account_of_a_program(realm: Realm) -> None:
    for number in range(250):
        realm.users[f"id-{number}"] = {"id": f"id-{number}", "email": f"{number}@example.org", "enabled": number > 0}
    realm.users["service"] = {"id": "service", "enabled": True}
    people = [*Directory(realm.call).everybody()]
    assert len(people) == 250
    assert line(people[0]) == "0@example.org    in no group, locked"


def test_the_account_of_a_program_is_made_once(realm: Realm) -> None:
    directory = Directory(realm.call)
    account = {"email": ADA, "name": "A check", "groups": ["staff"], "password": "for good"}
    assert [*ensure(directory, [account], check=True)] == [f"{ADA}: missing"]
    assert realm.users == {}
    assert [*ensure(directory, [account], check=False)] == [f"{ADA}: made"]
    assert realm.users["id-0"]["password"] == {"type": "password", "value": "for good", "temporary": False}
    assert [*ensure(directory, [account], check=False)] == []
