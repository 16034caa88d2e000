"""A realm of Keycloak as it is declared, compared with the one that is there, and the calls that bring it there.

What is declared is a dict of Keycloak's own representations, each list of named things as a dict by their names. What
it does not mention stays as it is: people, other clients and groups, and every setting it leaves out. The lists within
it, such as redirect URIs or a group's roles, hold what is declared and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

type Json = dict[str, Any]

MANAGEMENT = "realm-management"  # the client whose roles let an account administer its realm
PASSES = 4  # a group is there before it has roles, a client before its account has
SECRETS = {"secret", "clientSecret", "bindCredential", "password"}
MASK = "**********"  # what Keycloak shows of a secret that it does not show
DIGEST = "parrotpark.secrets"


class NotKept(Exception):
    """Keycloak took what was declared and is different all the same."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the admin API, by its path after `/admin/realms`."""

    method: str
    path: str
    body: Any = None


class Server(Protocol):
    """A Keycloak."""

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls in order and return their answers: None where there is nothing to get."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Things of a realm that have names: where the API has them, and what it calls the name there."""

    collection: str
    name: str
    item: str
    query: str = ""


KINDS = {
    "roles": Kind("/roles", "name", "name"),
    "groups": Kind("/groups", "name", "id", "?briefRepresentation=false"),
    "clients": Kind("/clients", "clientId", "id"),
    "identityProviders": Kind("/identity-provider/instances", "alias", "alias"),
    "userFederation": Kind("/components", "name", "id", "?type=org.keycloak.storage.UserStorageProvider"),
    "requiredActions": Kind("/authentication/required-actions", "alias", "alias"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the realm is not as declared; `found` is None where there is nothing."""

    path: tuple[str, ...]
    found: Any
    wanted: Any

    def line(self, value: Any) -> str:
        if SECRETS & set(self.path) or DIGEST in self.path:
            value = "as declared" if value is self.wanted else "another"
        elif isinstance(value, dict):
            value = "there"
        elif isinstance(value, list):
            value = sorted(value)
        return f"{' / '.join(self.path)}: {value if isinstance(value, str) else json.dumps(value)}\n"


def keep(server: Server, declared: Json, *, check: bool = False) -> list[Difference]:
    """Bring the realm to what is declared, unless only asked to check; return what differed before.

    Raises:
        NotKept: something differs however often it is set.
    """
    declared = sealed(declared)
    found = read(server, declared)
    first = left = list(differences(declared, found))
    for _ in range(0 if check else PASSES):
        if not left:
            return first
        server.ask(plan(declared, found))
        found = read(server, declared)
        left = list(differences(declared, found))
    if left and not check:
        raise NotKept("Keycloak does not keep " + "; ".join(each.line(each.wanted).strip() for each in left))
    return first


def differences(wanted: Any, found: Any, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Compare what is declared with what is there, down to single values."""
    if isinstance(wanted, Mapping):
        if found is None:
            yield Difference(path, None, wanted)
        for key, value in wanted.items():
            yield from differences(value, (found or {}).get(key), (*path, key))
    elif isinstance(wanted, list):
        if sorted(map(json.dumps, wanted)) != sorted(map(json.dumps, found or [])):
            yield Difference(path, found, wanted)
    elif found != wanted and (found or wanted):  # Keycloak leaves out much that is off, empty or nought
        yield Difference(path, found, wanted)


def merged(found: Any, wanted: Any) -> Any:
    """Return what is there with what is declared in its place."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {**found, **{key: merged(found.get(key), value) for key, value in wanted.items()}}
    return wanted


def plan(declared: Json, found: Json) -> list[Call]:
    """List the calls that bring the realm nearer to what is declared: what needs new things comes in the next pass."""
    base = f"/{quote(declared['realm']['realm'], safe='')}"
    if found["realm"] is None:
        return [Call("POST", "", {"realm": declared["realm"]["realm"], "enabled": False})]
    calls = [call for kind in KINDS for call in of_kind(base, kind, declared[kind], found[kind])]
    for name, group in declared["groups"].items():
        there = found["groups"].get(name, {})
        calls += mapping(f"{base}/groups/{there.get('id')}/role-mappings/realm", group, there, found["roles"])
    for name, account in declared["serviceAccounts"].items():
        if there := found["serviceAccounts"].get(name):
            client = found["clients"][MANAGEMENT]["id"]
            path = f"{base}/users/{there['id']}/role-mappings/clients/{client}"
            calls += mapping(path, account, there, found["managementRoles"])
    # Last, as it records which secrets were set.
    if any(differences(declared["realm"], found["realm"])):
        calls.append(Call("PUT", base, merged(found["realm"], declared["realm"])))
    return calls


def of_kind(base: str, name: str, declared: Json, found: Json) -> Iterator[Call]:
    kind = KINDS[name]
    for key, wanted in declared.items():
        there = found.get(key)
        mappers = wanted.get("protocolMappers", {})
        if there is None:
            yield Call("POST", base + kind.collection, {**listed(wanted), kind.name: key})
            continue
        item = f"{base}{kind.collection}/{quote(there[kind.item], safe='')}"
        plain = {inner: value for inner, value in wanted.items() if inner not in ("protocolMappers", "realmRoles")}
        if any(differences(plain, there)):
            yield Call("PUT", item, listed(merged(there, plain)))
        for mapper, rule in mappers.items():
            old = there["protocolMappers"].get(mapper)
            path = f"{item}/protocol-mappers/models"
            if old is None:
                yield Call("POST", path, {**rule, "name": mapper})
            elif any(differences(rule, old)):
                yield Call("PUT", f"{path}/{old['id']}", merged(old, rule))


def mapping(path: str, wanted: Json, found: Json, roles: Json) -> Iterator[Call]:
    """Give and take roles, as far as holder and roles are there."""
    if found:
        want, have = set(wanted["realmRoles"]), set(found["realmRoles"])
        for method, names in (("POST", want - have), ("DELETE", have - want)):
            if bodies := [roles[name] for name in sorted(names) if name in roles]:
                yield Call(method, path, bodies)


def listed(representation: Json) -> Json:
    """Return a representation as the API takes it, its mappers as a list."""
    if "protocolMappers" not in representation:
        return representation
    mappers = [{**mapper, "name": name} for name, mapper in representation["protocolMappers"].items()]
    return {**representation, "protocolMappers": mappers}


def keyed(representations: Sequence[Json] | None, key: str) -> Json:
    return {each[key]: each for each in representations or []}


def read(server: Server, declared: Json) -> Json:
    """Return the realm that is there in the shape of what is declared, with all that the API says of it."""
    base = f"/{quote(declared['realm']['realm'], safe='')}"
    paths = [base, *(base + kind.collection + kind.query for kind in KINDS.values())]
    realm, *things = server.ask([Call("GET", path) for path in paths])
    found: Json = {"realm": realm, "serviceAccounts": {}, "managementRoles": {}}
    found |= {name: keyed(answer, kind.name) for (name, kind), answer in zip(KINDS.items(), things, strict=True)}
    for client in found["clients"].values():
        client["protocolMappers"] = keyed(client.get("protocolMappers"), "name")
    clients = found["clients"]
    holders = [name for name in declared["serviceAccounts"] if clients.get(name, {}).get("serviceAccountsEnabled")]
    if holders:
        found |= read_accounts(server, base, clients, holders)
    digests = [each["realm"].get("attributes", {}).get(DIGEST) for each in (declared, found) if each["realm"]]
    return unmasked(found, declared) if digests[0] == digests[-1] and realm else found


def read_accounts(server: Server, base: str, clients: Json, holders: list[str]) -> Json:
    users = server.ask([Call("GET", f"{base}/clients/{clients[name]['id']}/service-account-user") for name in holders])
    management = clients[MANAGEMENT]["id"]
    paths = [f"{base}/users/{user['id']}/role-mappings/clients/{management}" for user in users]
    roles, *given = server.ask([Call("GET", path) for path in (f"{base}/clients/{management}/roles", *paths)])
    accounts = {
        name: {"id": user["id"], "realmRoles": [role["name"] for role in have]}
        for name, user, have in zip(holders, users, given, strict=True)
    }
    return {"managementRoles": keyed(roles, "name"), "serviceAccounts": accounts}


def sealed(declared: Json) -> Json:
    """Add a digest of the secrets that Keycloak does not show: how else would anybody see that they have changed?"""
    hidden = [
        [*difference.path, difference.wanted]
        for kind in ("realm", "identityProviders", "userFederation")
        for difference in differences(declared[kind], {})
        if SECRETS & set(difference.path)
    ]
    if not hidden:
        return declared
    realm = declared["realm"]
    salt = realm["realm"].encode()
    digest = hashlib.pbkdf2_hmac("sha256", json.dumps(hidden, sort_keys=True).encode(), salt, 100_000).hex()
    return {**declared, "realm": {**realm, "attributes": {**realm.get("attributes", {}), DIGEST: digest}}}


def unmasked(found: Any, wanted: Any) -> Any:
    """Return what is there with what is declared for each masked value."""
    if found in (MASK, [MASK]):
        return wanted
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {key: unmasked(value, wanted.get(key, value)) for key, value in found.items()}
    return found
