"""The command of the entry server about the people who use the assistant: who they are, and what they may spend."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from parrotpark.people import documents
from parrotpark.people.databases import Store, Stuck, connected
from parrotpark.people.directory import Directory, Invitation, Person, Refused
from parrotpark.people.records import Records
from parrotpark.people.search import Search
from parrotpark.people.spending import Budgets, Gateway, differing, spent
from parrotpark.people.uploads import Folder, Tree, uploads
from parrotpark.shared import keycloak

CONFIG = Path("/etc/parrotpark-people/config.json")


def directory(config: dict[str, Any]) -> Directory | None:
    """Sign in to the realm that the configuration names; return None where it names an issuer of somebody else's.

    Raises:
        Refused: it does not answer, or does not know this program.
    """
    if config["issuer"]:
        return None
    context = ssl.create_default_context()
    try:
        token = keycloak.sign_in(config["keycloak"], context)
    except OSError as error:
        raise Refused(f"Keycloak does not answer: {error}; see `make logs UNIT=keycloak`") from error
    base = f"/{quote(config['keycloak']['auth_realm'])}"
    call = partial(keycloak.call, config["keycloak"]["url"], token, context)
    return Directory(lambda method, path, body=None: call(method, base + path, body), config["sends_mail"])


def line(person: Person) -> str:
    """Describe a person in a line."""
    off = "" if person.enabled else ", locked"
    return f"{person.email}  {person.name}  {', '.join(person.groups) or 'in no group'}{off}"


def invited(invitation: Invitation, address: str) -> Iterator[str]:
    """Tell what to pass on to the person."""
    email = invitation.person.email
    yield f"{line(invitation.person)}: {'invited' if invitation.is_new else 'invited again'}"
    if invitation.password:
        yield f"{email} signs in at {address} with the password {invitation.password}, and chooses another then."
    else:
        yield f"{email} gets a mail with a link, good for a week."


def listed(realm: Directory, gateway: Gateway, budgets: Budgets) -> Iterator[str]:
    """Describe everybody, with what they have spent as far as the gateway answers."""
    try:
        customers = gateway.customers()
    except Refused as refused:
        customers = None
        yield f"what was spent is unknown: {refused}"
    for person in realm.everybody():
        money = "" if customers is None else f"  {spent(person, customers, budgets)}"
        day = realm.last_sign_in(person)
        yield f"{line(person)}{money}  {f'last signed in {day}' if day else 'no sign-in on record'}"


def assign(realm: Directory, gateway: Gateway, budgets: Budgets) -> Iterator[str]:
    """Give everybody the budget that follows from their groups; yield a line for each change."""
    customers = gateway.customers()
    for email, budget in differing(realm.everybody(), customers, budgets):
        gateway.assign(email, budget, known=email in customers)
        yield f"{email} has the budget of {budget} now"


def ensure(realm: Directory, accounts: list[dict[str, Any]], *, check: bool) -> Iterator[str]:
    """Make the accounts of programs that are missing; yield a line for each."""
    for account in accounts:
        person = realm.find(account["email"])
        missing = [group for group in account["groups"] if not person or group not in person.groups]
        if person and not missing:
            continue
        yield f"{account['email']}: {'missing' if check else 'made'}"
        if not check:
            realm.invite(account["email"], account["name"], account["groups"], account["password"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="file with where everything is")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="show who there is, and what they have spent")
    verbs.add_parser("budgets", help="give everybody the budget that follows from their groups")
    invite = verbs.add_parser("invite", help="let somebody in, or in again with a new password")
    invite.add_argument("email")
    invite.add_argument("--name", default="", help="first and last name")
    invite.add_argument("--group", action="append", default=[], help="what they may do follows from it")
    export = verbs.add_parser("export", help="write all data kept about somebody into an archive")
    export.add_argument("email")
    export.add_argument("--to", type=Path, required=True, help="file to write, a tar.gz")
    erase = verbs.add_parser("erase", help="delete all data kept about somebody")
    erase.add_argument("email")
    erase.add_argument("--at-once", action="store_true", help="they have asked nothing for half a minute: do not wait")
    ensure = verbs.add_parser("ensure", help="make the accounts that a JSON list on standard input names")
    ensure.add_argument("--check", action="store_true", help="only say what is missing")
    return parser.parse_args()


def answer(given: argparse.Namespace) -> Iterator[str]:
    """Do what was asked for, and yield what to say of it."""
    config = json.loads(given.config.read_text())
    realm = directory(config)
    if given.verb in ("export", "erase"):
        yield from about(given, config, realm)
        return
    if realm is None:
        raise Refused(f"people sign in at {config['issuer']}: invite them there, where they are listed, too")
    match given.verb:
        case "list":
            yield from listed(realm, Gateway(**config["gateway"]), Budgets(**config["budgets"]))
        case "budgets":
            yield from assign(realm, Gateway(**config["gateway"]), Budgets(**config["budgets"]))
        case "invite":
            yield from invited(realm.invite(given.email, given.name, given.group), config["address"])
        case "ensure":
            yield from ensure(realm, json.load(sys.stdin), check=given.check)


def stores(config: dict[str, Any]) -> Iterator[AbstractContextManager[Store]]:
    """Open what is kept of people, LibreChat's first: what it calls somebody, the others do not know.

    Raises:
        Refused: something is kept where nobody answers.
    """
    librechat = config["librechat"]
    if librechat["data"] and not librechat["mongodb"] and Path(librechat["data"]).exists():
        raise Refused(
            f"LibreChat has kept data of people in {librechat['data']} and does not run: choose it (parrotpark_chat), "
            "run make site, and then this again"
        )
    if librechat["mongodb"]:
        yield documents.connected(librechat["mongodb"])
    if librechat["search"]:
        yield nullcontext(Search(librechat["search"], librechat["search_key"]))
    yield from (connected(*database) for database in config["databases"].items())


def about(given: argparse.Namespace, config: dict[str, Any], realm: Directory | None) -> Iterator[str]:
    """Export or erase one person."""
    with ExitStack() as stack:
        databases = [stack.enter_context(store) for store in stores(config)]
        librechat = config["librechat"]
        folders = [uploads(Tree(Path(librechat["data"])), config["bucket"])] if librechat["mongodb"] else []
        records = Records(realm, databases, uploads(Folder(Path(config["uploads"])), config["bucket"]), folders)
        if given.verb == "erase":
            yield from records.erase(given.email, at_once=given.at_once)
            if realm is None:
                yield f"sign-on: {given.email} comes back by signing in, unless {config['issuer']} refuses"
        else:
            given.to.touch(mode=0o600)
            with given.to.open("wb") as file:
                yield from records.export(given.email, file)


def main() -> int:
    """Run the command; returns its exit status."""
    try:
        for said in answer(arguments()):
            print(said)
    except (Refused, Stuck, keycloak.Refused) as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0
