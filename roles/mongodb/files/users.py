"""Keep the administrator of MongoDB and a user for each database, by the JSON object on standard input.

Prints a line for each change. With `--check` it changes nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

ADMIN = "admin"
REFUSED = (13, 18)  # not allowed; wrong name or password
type Server = MongoClient[dict[str, Any]]


def connect(port: int, name: str = "", password: str = "", database: str = ADMIN) -> Server | None:
    """Connect, and where a name is given as that user; None says that it is not let in."""
    who = {"username": name, "password": password, "authSource": database} if name else {}
    server: Server = MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=10_000, **who)
    try:
        server.admin.command("ping")
        if name:
            server[database].command("connectionStatus")
    except OperationFailure as error:
        if error.code in REFUSED:
            return None
        raise
    return server


def administrator(port: int, password: str, *, check: bool) -> Iterator[str]:
    """Make the administrator where there is nobody yet: only then MongoDB lets this host in without a password."""
    if connect(port, ADMIN, password):
        return
    yield ADMIN
    if check:
        return
    nobody = connect(port)
    assert nobody is not None
    try:
        nobody.admin.command("createUser", ADMIN, pwd=password, roles=["root"])
    except OperationFailure:
        sys.exit("mongodb_admin_password: MongoDB knows another password of its administrator")


def users(port: int, password: str, wanted: Sequence[Mapping[str, str]], *, check: bool) -> Iterator[str]:
    """Make or mend each user that is not as wanted."""
    server = connect(port, ADMIN, password)
    for user in wanted:
        name, database = user["name"], user["database"]
        roles = [{"role": "readWrite", "db": database}]
        known = server[database].command("usersInfo", name)["users"] if server else []
        right = known and known[0]["roles"] == roles and connect(port, name, user["password"], database)
        if right:
            continue
        yield name
        if server and not check:
            server[database].command("updateUser" if known else "createUser", name, pwd=user["password"], roles=roles)


def main() -> None:
    wanted = json.load(sys.stdin)
    check = "--check" in sys.argv
    port, password = wanted["port"], wanted["password"]
    for name in administrator(port, password, check=check):
        print(f"user {name}")
    for name in users(port, password, wanted["users"], check=check):
        print(f"user {name}")


if __name__ == "__main__":
    main()
