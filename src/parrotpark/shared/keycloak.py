"""Calls to Keycloak's admin API, made on a host that reaches it.

This file is sent there as it is, through stdin, so that no secret is in a process list and nothing is left behind. It
needs nothing but the standard library.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT = 60


class Refused(Exception):
    """Keycloak refused; the message says what, and its words."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sign in and make the calls in order; return their answers, or why there are none."""
    context = ssl.create_default_context()
    try:
        if request["ca_file"]:
            context.load_verify_locations(request["ca_file"])
        token = sign_in(request, context)
        return {"answers": [call(request["url"], token, context, **each) for each in request["calls"]]}
    except Refused as refused:
        return {"refused": str(refused)}
    except (OSError, ValueError) as error:
        return {"unreachable": f"no Keycloak answers at {request['url']}: {getattr(error, 'reason', error)}"}


def sign_in(request: dict[str, Any], context: ssl.SSLContext) -> str:
    """Return an access token of the client."""
    url = f"{request['url']}/realms/{urllib.parse.quote(request['auth_realm'])}/protocol/openid-connect/token"
    form = {key: request[key] for key in ("client_id", "client_secret")} | {"grant_type": "client_credentials"}
    data = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(url, data, TIMEOUT, context=context) as response:  # noqa: S310 - an option
            return str(json.load(response)["access_token"])
    except urllib.error.HTTPError as error:
        if error.code not in (400, 401):
            raise
        raise Refused(f"Keycloak refuses the client {request['client_id']}: {said(error)}") from error


def call(url: str, token: str, context: ssl.SSLContext, method: str, path: str, body: Any = None) -> Any:
    """Return what the call answers; nothing where there is no such thing to get."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/admin/realms{path}", data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as response:  # noqa: S310
            content = response.read()
    except urllib.error.HTTPError as error:
        if method == "GET" and error.code == 404:
            return None
        raise Refused(f"Keycloak refuses {method} {path}: {error.code} {said(error)}") from error
    return json.loads(content) if content else None


def said(error: urllib.error.HTTPError) -> str:
    """Return the words of a refusal."""
    text = error.read().decode(errors="replace")
    try:
        words = json.loads(text)
        return str(words.get("error_description") or words.get("errorMessage") or words["error"])
    except (ValueError, KeyError, AttributeError):
        return text or error.reason
