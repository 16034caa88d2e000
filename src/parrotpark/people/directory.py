"""The realm of Keycloak as the list of people: who there is, in which groups, and with which first password."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, urlencode

INVITATION_SECONDS = 7 * 86400  # how long the link in a mail is good
PAGE = 100
_ADDRESS = re.compile(r"[^@\s/]+@[^@\s/]+\.[^@\s/.]+")

type Call = Callable[..., Any]  # method, path after the realm, body


class Refused(Exception):
    """What was asked for cannot be done; the message is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in."""

    id: str
    email: str
    name: str
    groups: tuple[str, ...]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a person needs to come in: `password` is for the first time only, and empty where a mail has a link."""

    person: Person
    is_new: bool
    password: str = field(repr=False)


def mail_address(text: str) -> str:
    """Return what is a mail address: of any other text the databases may say that it is somebody's.

    Raises:
        Refused: this is none.
    """
    if not _ADDRESS.fullmatch(text):
        raise Refused(f"'{text}' is not a mail address: PERSON must be one, such as ada@example.org")
    return text


@dataclass(frozen=True, slots=True)
class Directory:
    """A realm, through calls to its admin API."""

    call: Call
    sends_mail: bool = False

    def find(self, email: str) -> Person | None:
        """Return the person with this mail address, whatever its case.

        Raises:
            Refused: this is not a mail address.
        """
        found = self.call("GET", f"/users?{urlencode({'email': mail_address(email), 'exact': 'true'})}")
        return self._person(found[0]) if found else None

    def get(self, email: str) -> Person:
        """Return the person with this mail address.

        Raises:
            Refused: there is none.
        """
        if person := self.find(email):
            return person
        raise Refused(f"there is no {email}: `make people` lists who there is")

    def everybody(self) -> Iterator[Person]:
        """Yield all people by their address; the accounts of programs are none."""
        first = 0
        while page := self.call("GET", f"/users?first={first}&max={PAGE}"):
            yield from (self._person(user) for user in page if user.get("email"))
            first += PAGE

    def last_sign_in(self, person: Person) -> date | None:
        """Return the day of the last sign-in that is on record; a realm forgets them after some time."""
        events = self.call("GET", f"/events?{urlencode({'type': 'LOGIN', 'user': person.id, 'max': 1})}")
        return datetime.fromtimestamp(events[0]["time"] / 1000, UTC).date() if events else None

    def invite(self, email: str, name: str, groups: Sequence[str], password: str = "") -> Invitation:
        """Let a person in, or in again with another password; `groups` come to those that they are in.

        With a `password` it is for good, as programs need it. Else they choose one when they first sign in.

        Raises:
            Refused: there is no such group, or this is no mail address.
        """
        person = self.find(email)
        known = {group["name"]: group["id"] for group in self.call("GET", "/groups")}
        if unknown := set(groups) - known.keys():
            raise Refused(f"there is no group {', '.join(sorted(unknown))}: GROUP is one of {', '.join(sorted(known))}")
        if not (person or groups or password):
            raise Refused(f"give a GROUP, one of {', '.join(sorted(known))}")
        is_new = person is None
        if person is None:
            first, _, last = (name or email.partition("@")[0]).partition(" ")
            user = {"username": email, "email": email, "emailVerified": True, "firstName": first, "lastName": last}
            self.call("POST", "/users", {**user, "enabled": True})
            person = self.get(email)
        for group in groups:
            self.call("PUT", f"/users/{person.id}/groups/{known[group]}")
        mails = self.sends_mail and not password
        given = password or ("" if mails else secrets.token_urlsafe(12))
        if mails:
            actions = f"/users/{person.id}/execute-actions-email?lifespan={INVITATION_SECONDS}"
            self.call("PUT", actions, ["UPDATE_PASSWORD"])
        else:
            credential = {"type": "password", "value": given, "temporary": not password}
            self.call("PUT", f"/users/{person.id}/reset-password", credential)
            self.call("POST", f"/users/{person.id}/logout")
        return Invitation(self.get(email), is_new, "" if password else given)

    def delete(self, person: Person) -> None:
        """Delete an account; its sessions end."""
        self.call("DELETE", f"/users/{quote(person.id)}")

    def _person(self, user: dict[str, Any]) -> Person:
        groups = self.call("GET", f"/users/{user['id']}/groups")
        name = f"{user.get('firstName', '')} {user.get('lastName', '')}".strip()
        return Person(user["id"], user["email"], name, tuple(group["name"] for group in groups), user["enabled"])
