"""Give an account of Open WebUI a new password, in its own container and by its own code.

Reads a JSON object from standard input: `email`, and `password` unless one is to be made up and printed. With `name`
the account is made where it is missing. Giving a password ends the account's sessions.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys

from open_webui.models.auths import Auths
from open_webui.models.users import Users
from open_webui.utils.auth import get_password_hash


async def give(email: str, password: str, name: str) -> None:
    hashed = await get_password_hash(password)
    if user := await Users.get_user_by_email(email):
        await Auths.update_user_password_by_id(user.id, hashed)
    elif name:
        await Auths.insert_new_auth(email.lower(), hashed, name, role="user")
    else:
        sys.exit(f"there is no account {email}")


def main() -> None:
    wanted = json.load(sys.stdin)
    password = wanted.get("password") or secrets.token_urlsafe(15)
    asyncio.run(give(wanted["email"], password, wanted.get("name", "")))
    if "password" not in wanted:
        print(password)


if __name__ == "__main__":
    main()
