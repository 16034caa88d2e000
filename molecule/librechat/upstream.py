"""What LibreChat stands between: a gateway and an S3 bucket, each the least that is strict.

`upstream.py gateway | bucket` serves one of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zlib import crc32


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


def main() -> None:
    port, handler = {"gateway": (8001, Gateway), "bucket": (8002, Bucket)}[sys.argv[1]]
    ThreadingHTTPServer(("127.0.0.1", port), handler).serve_forever()


main()
