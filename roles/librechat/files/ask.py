"""Ask those that LibreChat needs, before anything is touched, whether they will do: one line says what is wrong.

Reads a JSON object from standard input: `mongodb` (an address), and `oidc` and `s3`, each null where there is none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

SECONDS = 10
EMPTY = hashlib.sha256(b"").hexdigest()


def answer(request: urllib.request.Request | str) -> tuple[int, bytes]:
    """Return status and body, whatever the status; a connection that fails raises OSError."""
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - preflight wants http
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def lead(name: str, address: str) -> None:
    """Let a name lead to an address, as it does in the container."""
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: resolve(address if host == name else host, *rest, **more)


def provider(oidc: Mapping[str, str]) -> str | None:
    """Ask for the provider's description, and whether it takes the secret: a code that it never gave tells."""
    issuer = oidc["issuer"]
    if oidc["address"]:
        lead(str(urllib.parse.urlsplit(issuer).hostname), oidc["address"])
    try:
        said = json.loads(answer(issuer.rstrip("/") + "/.well-known/openid-configuration")[1])
    except (OSError, ValueError) as error:
        return f"librechat_oidc_issuer: no OpenID Connect provider answers at {issuer} ({error})"
    if said.get("issuer") != issuer:
        return f"librechat_oidc_issuer: the provider at {issuer} calls itself {said.get('issuer')}: write that"
    if "end_session_endpoint" not in said:
        return f"librechat_oidc_issuer: the provider at {issuer} has no end_session_endpoint: signing out would not end"
    form = {
        "grant_type": "authorization_code",
        "code": "none",
        "redirect_uri": oidc["back"],
        "client_id": oidc["client"],
        "client_secret": oidc["secret"],
    }
    try:
        request = urllib.request.Request(said["token_endpoint"], urllib.parse.urlencode(form).encode())  # noqa: S310
        status, body = answer(request)
        refusal = json.loads(body).get("error")
    except (OSError, ValueError) as failure:
        return f"librechat_oidc_issuer: {said['token_endpoint']} does not answer as a provider does ({failure})"
    if refusal != "invalid_grant":
        why = f"({status} {refusal})"
        return f"librechat_oidc_client_secret: the provider refuses client {oidc['client']} with this secret {why}"
    return None


def signed(s3: Mapping[str, str], now: datetime) -> urllib.request.Request:
    """Ask whether the bucket is there, signed as AWS specifies it (Signature Version 4)."""
    endpoint = urllib.parse.urlsplit(s3["endpoint"])
    host = endpoint.netloc if s3["path_style"] else f"{s3['bucket']}.{endpoint.netloc}"
    path = f"{endpoint.path.rstrip('/')}/{s3['bucket']}" if s3["path_style"] else endpoint.path or "/"
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{s3['region']}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": stamp}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = hashlib.sha256(f"HEAD\n{path}\n\n{lines}\n{names}\n{EMPTY}".encode()).hexdigest()
    key = f"AWS4{s3['secret']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}".encode(), "sha256").hex()
    credential = f"Credential={s3['key']}/{scope}, SignedHeaders={names}, Signature={signature}"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {credential}"
    return urllib.request.Request(f"{endpoint.scheme}://{host}{path}", headers=headers, method="HEAD")  # noqa: S310


def bucket(s3: Mapping[str, str]) -> str | None:
    """Ask whether the keys open the bucket."""
    try:
        status, _ = answer(signed(s3, datetime.now(UTC)))
    except OSError as error:
        return f"librechat_s3_endpoint: nobody answers at {s3['endpoint']} ({error})"
    if status == 404:
        return f"librechat_s3_bucket: there is no bucket {s3['bucket']} at {s3['endpoint']}"
    if status != 200:
        return f"librechat_s3_access_key: {s3['endpoint']} does not let these keys into {s3['bucket']} ({status})"
    return None


def database(uri: str) -> str | None:
    """Ask whether somebody listens; several hosts of a replica set are one database."""
    hosts = urllib.parse.urlsplit(uri).netloc.rpartition("@")[2].split(",")
    failures = []
    for each in hosts:
        name, _, port = each.partition(":")
        try:
            socket.create_connection((name, int(port or 27017)), SECONDS).close()
        except OSError as error:
            failures.append(f"{each} ({error})")
        else:
            return None
    return f"librechat_mongodb_uri: nobody listens at {', '.join(failures)}"


def main() -> None:
    needs = json.load(sys.stdin)
    checks: dict[str, Callable[[Any], str | None]] = {"mongodb": database, "oidc": provider, "s3": bucket}
    for name, check in checks.items():
        if needs[name] and (flaw := check(needs[name])):
            sys.exit(flaw)


if __name__ == "__main__":
    main()
