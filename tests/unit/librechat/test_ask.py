"""Before anything is touched, what LibreChat needs is asked, and what is wrong is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.programs import load
from tests.unit.librechat.conftest import ROLE

PROGRAM = ROLE / "files/ask.py"
ask = load("roles/librechat/files/ask.py")


class Server(ThreadingHTTPServer):
    """A provider and a bucket in one, which answer as they are told."""

    address: str
    buckets: Mapping[str, int]
    description: dict[str, str]
    seen: list[Any]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.reply(200, self.server.description)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        right = form["client_secret"] == ["right"] and form["redirect_uri"] == ["https://chat/oauth/openid/callback"]
        self.reply(*((400, {"error": "invalid_grant"}) if right else (401, {"error": "unauthorized_client"})))

    def do_HEAD(self) -> None:
        self.server.seen.append(dict(self.headers))
        self.reply(self.server.buckets.get(self.path, 404), None)

    def reply(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.address = f"http://127.0.0.1:{server.server_port}"
        server.description = {
            "issuer": server.address,
            "token_endpoint": f"{server.address}/token",
            "end_session_endpoint": f"{server.address}/logout",
        }
        server.buckets, server.seen = {"/chat": 200, "/locked": 403}, []
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def said(needs: Mapping[str, Any]) -> str:
    """Return what the program says of these needs, and nothing where they are met."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], input=json.dumps(needs), capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is (done.stderr == "")
    assert done.stderr.count("\n") == (1 if done.returncode else 0)
    return done.stderr


def needs(server: Server, **changes: Any) -> dict[str, Any]:
    needs = {
        "mongodb": f"mongodb://user:p%40ss@127.0.0.1:{server.server_port}/LibreChat?authSource=admin",
        "oidc": {
            "issuer": server.address,
            "address": "",
            "client": "chat",
            "secret": "right",
            "back": "https://chat/oauth/openid/callback",
        },
        "s3": {
            "endpoint": server.address,
            "bucket": "chat",
            "region": "eu",
            "key": "name",
            "secret": "key/+of=it",
            "path_style": True,
        },
    }
    for path, value in changes.items():
        part, _, name = path.partition("__")
        needs[part] = {**needs[part], name: value} if name else value  # type: ignore[dict-item]
    return needs


def test_a_name_leads_where_it_is_told_to(server: Server) -> None:
    issuer = f"http://provider.invalid:{server.server_port}"
    server.description |= {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
    assert said(needs(server, oidc__issuer=issuer)).startswith("librechat_oidc_issuer: no OpenID Connect provider")
    assert said(needs(server, oidc__issuer=issuer, oidc__address="127.0.0.1")) == ""


def test_nothing_is_said_where_all_is_right(server: Server) -> None:
    assert said(needs(server)) == ""
    assert said(needs(server, oidc=None, s3=None)) == ""


NOBODY = "http://127.0.0.1:1"  # reserved: nothing listens there


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"mongodb": "mongodb://127.0.0.1:1/x"}, "librechat_mongodb_uri: nobody listens at 127.0.0.1:1"),
        ({"oidc__issuer": NOBODY}, "librechat_oidc_issuer: no OpenID Connect provider answers at http://127.0.0.1:1"),
        ({"oidc__secret": "wrong"}, "librechat_oidc_client_secret: the provider refuses client chat with this secret"),
        ({"s3__bucket": "none"}, "librechat_s3_bucket: there is no bucket none at http://127.0.0.1"),
        ({"s3__bucket": "locked"}, "librechat_s3_access_key: http://127.0.0.1"),
        ({"s3__endpoint": NOBODY}, "librechat_s3_endpoint: nobody answers at http://127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(server: Server, changes: dict[str, Any], begins: str) -> None:
    assert said(needs(server, **changes)).startswith(begins)


def test_a_provider_of_another_name_is_told_by_its_own(server: Server) -> None:
    server.description["issuer"] = "https://other.example"
    assert "calls itself https://other.example: write that" in said(needs(server))


def test_a_provider_that_ends_no_session_is_refused(server: Server) -> None:
    del server.description["end_session_endpoint"]
    assert "has no end_session_endpoint" in said(needs(server))


def test_one_of_several_databases_is_enough(server: Server) -> None:
    assert said(needs(server, mongodb=f"mongodb://a:b@127.0.0.1:1,127.0.0.1:{server.server_port}/x")) == ""


def test_the_bucket_is_asked_as_curl_asks_it(server: Server) -> None:
    s3 = needs(server)["s3"]
    how = f"--aws-sigv4 aws:amz:{s3['region']}:s3 --header x-amz-content-sha256:{ask.EMPTY} --silent --head"
    command = ["curl", "--user", f"{s3['key']}:{s3['secret']}", *how.split(), f"{server.address}/chat"]
    subprocess.run(command, check=True, capture_output=True)
    (curl,) = server.seen
    when = datetime.strptime(curl["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert ask.signed(s3, when).get_header("Authorization") == curl["Authorization"]


def test_a_bucket_may_stand_in_the_name_of_the_host() -> None:
    s3 = {"endpoint": "https://s3.example", "bucket": "b", "region": "r", "key": "k", "secret": "s"}
    now = datetime.now(UTC)
    assert ask.signed({**s3, "path_style": True}, now).full_url == "https://s3.example/b"
    assert ask.signed({**s3, "path_style": False}, now).full_url == "https://b.s3.example/"
