"""What LibreChat stands between: a gateway, an S3 bucket, an OpenID Connect provider, each the least that is strict.

`upstream.py gateway | bucket | provider` serves one of them. The provider signs in whom the cookie `person` names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import ssl
import subprocess
import sys
import time
from http import cookies
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from zlib import crc32

FOLDER = "/etc/upstream"
CALLBACK = "https://chat.parrotpark.example/oauth/openid/callback"
AFTER_LOGOUT = "https://chat.parrotpark.example/login"


class Handler(BaseHTTPRequestHandler):
    """Reads requests and answers them."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, body: object = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Gateway(Handler):
    """Answers who asks by name, embeds, and lists two models."""

    def do_GET(self) -> None:
        self.reply(200, {"data": [{"id": "assistant"}, {"id": "embedder"}]})

    def do_POST(self) -> None:
        request = json.loads(self.body())
        if self.headers["Authorization"] != "Bearer the-upstream-key-of-the-test":
            self.reply(401, {"error": {"message": "wrong key"}})
        elif self.path == "/v1/embeddings" and max(map(len, request["input"])) > 254:
            self.reply(400, {"error": {"message": "too long"}})
        elif self.path == "/v1/embeddings":
            self.reply(200, {"data": [{"embedding": vector(text)} for text in request["input"]]})
        elif request["messages"][-1]["content"].endswith("over budget"):
            self.reply(400, {"error": {"message": "Your budget is full again on Monday."}})
        else:
            asked = request["messages"][-1]["content"]
            words = ["You are ", self.headers["X-Chat-Person"], f" and said: {asked}"]
            pieces = [f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n" for word in words]
            self.reply(200, "".join([*pieces, "data: [DONE]\n\n"]).encode())


def vector(text: str) -> list[float]:
    """Count the words: texts that share some are near each other."""
    counts = [0.001] * 64
    for word in text.split():
        counts[crc32(word.encode()) % 64] += 1.0
    return counts


class Bucket(Handler):
    """Keeps objects in one bucket, for requests signed as AWS specifies it, in headers or in the address."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self.signed():
            self.reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        elif path.rstrip("/") == "/chat":
            self.reply(200)
        elif path in self.objects:
            self.reply(200, self.objects[path])
        else:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        content = self.body()
        if not self.signed():
            self.reply(403)
        else:
            self.objects[urlsplit(self.path).path] = content
            self.reply(200, ETag='"x"')

    def do_DELETE(self) -> None:
        self.reply(204 if self.signed() and self.objects.pop(urlsplit(self.path).path, None) is not None else 403)

    def signed(self) -> bool:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "X-Amz-Signature" in query:
            given = query.pop("X-Amz-Signature")
            credential, names, stamp = (query[f"X-Amz-{part}"] for part in ("Credential", "SignedHeaders", "Date"))
            payload = "UNSIGNED-PAYLOAD"
            if time.time() > epoch(stamp) + int(query["X-Amz-Expires"]):
                return False
        else:
            form = r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=(\w+)"
            match = re.fullmatch(form, self.headers["Authorization"] or "")
            if not match:
                return False
            credential, names, given = match.groups()
            stamp, payload = self.headers["x-amz-date"], self.headers["x-amz-content-sha256"]
        key, _, scope = credential.partition("/")
        lines = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names.split(";"))
        encoded = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
        path = quote(unquote(url.path))
        canonical = f"{self.command}\n{path}\n{encoded}\n{lines}\n{names}\n{payload}"
        signing = b"AWS4the-s3-secret-of-the-test"
        for part in scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        right = hmac.compare_digest(hmac.digest(signing, text.encode(), "sha256").hex(), given)
        return right and key == "the-s3-name" and scope[8:] == "/eu-test/s3/aws4_request"


def epoch(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone


class Provider(Handler):
    """Issues codes for tokens to one client that proves itself twice, and ends sessions by the token it gave."""

    issuer = "https://localhost:8443"
    people: ClassVar = {"ada": ["user"], "grace": ["user", "admin"], "eve": []}
    codes: ClassVar[dict[str, dict[str, str]]] = {}
    ended: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        paths |= {"end_session_endpoint": "logout", "jwks_uri": "jwks"}
        if url.path == "/.well-known/openid-configuration":
            places = {name: f"{self.issuer}/{path}" for name, path in paths.items()}
            self.reply(200, {"issuer": self.issuer, "id_token_signing_alg_values_supported": ["RS256"], **places})
        elif url.path == "/jwks":
            said = subprocess.check_output(["openssl", "rsa", "-in", f"{FOLDER}/key.pem", "-noout", "-modulus"])
            number = base64url(bytes.fromhex(said.decode().strip().partition("=")[2]))
            self.reply(200, {"keys": [{"kty": "RSA", "alg": "RS256", "kid": "1", "e": "AQAB", "n": number}]})
        elif url.path == "/auth" and query["redirect_uri"] == CALLBACK and query["code_challenge_method"] == "S256":
            code = secrets.token_hex()
            person = cookies.SimpleCookie(self.headers["Cookie"])["person"].value
            self.codes[code] = {"person": person, "challenge": query["code_challenge"]}
            back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
            self.reply(302, Location=f"{CALLBACK}?{back}")
        elif url.path == "/userinfo":
            claims = json.loads(unbase64url(self.headers["Authorization"].split(".")[1]))
            self.reply(200, {"sub": claims["sub"], **about(claims["sub"])}, **{"Content-Type": "application/json"})
        elif url.path == "/logout" and query["post_logout_redirect_uri"] == AFTER_LOGOUT:
            self.ended.append(json.loads(unbase64url(query["id_token_hint"].split(".")[1]))["sub"])
            self.reply(302, Location=AFTER_LOGOUT)
        elif url.path == "/ended":
            self.reply(200, self.ended)
        else:
            self.reply(400, {"error": "invalid_request"})

    def do_POST(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        basic = base64.b64decode((self.headers["Authorization"] or "").removeprefix("Basic ")).decode()
        client = [unquote(part) for part in basic.split(":")] if basic else [form["client_id"], form["client_secret"]]
        code = self.codes.pop(form["code"], None)
        if client != ["chat", "the-client-secret-of-the-test"]:
            self.reply(401, {"error": "invalid_client"})
        elif not code or base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) != code["challenge"]:
            self.reply(400, {"error": "invalid_grant"})
        else:
            person = code["person"]
            now = int(time.time())
            claims = {"iss": self.issuer, "aud": "chat", "sub": person, "iat": now, "exp": now + 300}
            access = {**claims, "realm_access": {"roles": self.people[person]}}
            tokens = {"access_token": token(access), "id_token": token({**claims, **about(person)})}
            said = {"token_type": "Bearer", "expires_in": 300, "refresh_token": secrets.token_hex(), **tokens}
            self.reply(200, said, **{"Content-Type": "application/json"})


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
    port, handler = {"gateway": (8001, Gateway), "bucket": (8002, Bucket), "provider": (8443, Provider)}[sys.argv[1]]
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    if handler is Provider:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{FOLDER}/cert.pem", f"{FOLDER}/key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
