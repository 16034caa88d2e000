"""Delete the account of programs with its own rights, as a careless administrator may."""

import json
import os
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

URL = "http://127.0.0.1:8180"
FORM = {"grant_type": "client_credentials", "client_id": "automation", "client_secret": os.environ["SECRET"]}


def call(path: str, method: str, data: bytes | None = None, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urlopen(Request(URL + path, data, headers, method=method)) as response:  # noqa: S310
        return json.loads(response.read() or "null")


token = call("/realms/master/protocol/openid-connect/token", "POST", urlencode(FORM).encode())["access_token"]
(client,) = call("/admin/realms/master/clients?clientId=automation", "GET", token=token)
call(f"/admin/realms/master/clients/{client['id']}", "DELETE", token=token)
