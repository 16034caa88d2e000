"""An OpenID Connect provider, the least that is strict, for one chat.

`provider.py ISSUER CALLBACK AFTER_LOGOUT`: its own address, and the chat's where people come back. It signs in whom the
cookie `person` names, and says at /ended who has signed out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import subprocess
import sys
import time
from http import cookies
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

FOLDER = "/etc/provider"
ISSUER, CALLBACK, AFTER_LOGOUT = sys.argv[1:]


class Provider(BaseHTTPRequestHandler):
    """Issues codes for tokens to one client that proves itself twice, and ends sessions by the token it gave."""

    people: ClassVar = {"ada": ["staff"], "grace": ["staff", "it"], "eve": [], "mallory": ["guests"]}
    codes: ClassVar[dict[str, dict[str, str]]] = {}
    ended: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        paths |= {"end_session_endpoint": "logout", "jwks_uri": "jwks"}
        if url.path == "/.well-known/openid-configuration":
            places = {name: f"{ISSUER}/{path}" for name, path in paths.items()}
            self.answer(200, {"issuer": ISSUER, "id_token_signing_alg_values_supported": ["RS256"], **places})
        elif url.path == "/jwks":
            said = subprocess.check_output(["openssl", "rsa", "-in", f"{FOLDER}/key.pem", "-noout", "-modulus"])
            number = base64url(bytes.fromhex(said.decode().strip().partition("=")[2]))
            self.answer(200, {"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "e": "AQAB", "n": number}]})
        elif url.path == "/auth" and query["redirect_uri"] == CALLBACK and query["code_challenge_method"] == "S256":
            code = secrets.token_hex()
            person = cookies.SimpleCookie(self.headers["Cookie"])["person"].value
            self.codes[code] = {**query, "person": person}
            back = urlencode({"code": code, "state": query["state"], "iss": ISSUER})
            self.answer(302, location=f"{CALLBACK}?{back}")
        elif url.path == "/userinfo":
            claims = json.loads(unbase64url(self.headers["Authorization"].split(".")[1]))
            self.answer(200, {"sub": claims["sub"], **about(claims["sub"])})
        elif url.path == "/logout" and query["post_logout_redirect_uri"] == AFTER_LOGOUT:
            self.ended.append(json.loads(unbase64url(query["id_token_hint"].split(".")[1]))["sub"])
            self.answer(302, location=AFTER_LOGOUT)
        elif url.path == "/ended":
            self.answer(200, self.ended)
        else:
            self.answer(400, {"error": "invalid_request"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        basic = base64.b64decode((self.headers["Authorization"] or "").removeprefix("Basic ")).decode()
        client = [unquote(part) for part in basic.split(":")] if basic else [form["client_id"], form["client_secret"]]
        code = self.codes.pop(form["code"], None)
        if client != ["chat", "the-client-secret-of-the-test"]:
            self.answer(401, {"error": "invalid_client"})
        elif not code or base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) != code["code_challenge"]:
            self.answer(400, {"error": "invalid_grant"})
        else:
            person, groups = code["person"], self.people[code["person"]]
            now = int(time.time())
            claims = {"iss": ISSUER, "aud": "chat", "sub": person, "iat": now, "exp": now + 300}
            # What may be done is said in both, and under names of their own: a chat reads one of them.
            access = {**claims, "realm_access": {"roles": groups}}
            identity = {**claims, **about(person), "groups": groups}
            if "nonce" in code:
                identity["nonce"] = code["nonce"]
            tokens = {"access_token": token(access), "id_token": token(identity)}
            said = {"token_type": "Bearer", "expires_in": 300, "refresh_token": secrets.token_hex(), **tokens}
            self.answer(200, said)

    def answer(self, status: int, said: object = None, location: str = "") -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def about(person: str) -> dict[str, object]:
    mail = f"{person}@parrotpark.example"
    return {"name": person.title(), "preferred_username": person, "email": mail, "email_verified": True}


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def token(claims: dict[str, object]) -> str:
    parts = [{"alg": "RS256", "kid": "1"}, claims]
    text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    sign = ["openssl", "dgst", "-sha256", "-sign", f"{FOLDER}/key.pem"]
    return f"{text}.{base64url(subprocess.check_output(sign, input=text.encode()))}"


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 8443), Provider)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{FOLDER}/cert.pem", f"{FOLDER}/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
