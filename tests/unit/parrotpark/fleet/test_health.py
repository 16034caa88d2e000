"""A slot is ready when every one of its models answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parrotpark.fleet import health


@contextmanager
def model(address: str, port: int = 0, status: int = 200, says: str = "") -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(says.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_all_models_have_to_answer() -> None:
    with model("127.0.0.11") as generate, model("127.0.0.11") as embed, model("127.0.0.12", generate):
        assert health.ready(["127.0.0.11", "127.0.0.12"], [generate, embed]) == {"127.0.0.11"}
        assert health.ready(["127.0.0.12"], [generate]) == {"127.0.0.12"}
    assert health.ready([], [8001]) == frozenset()


@pytest.mark.parametrize("status", [503, 204])
def test_only_ok_is_healthy(status: int) -> None:
    with model("127.0.0.1", status=status) as port:
        assert not health.answers("127.0.0.1", port)


def test_nobody_there_is_not_healthy() -> None:
    with model("127.0.0.1") as port:
        pass
    assert not health.answers("127.0.0.1", port)


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with model("127.0.0.1") as port:
        assert health.answers("127.0.0.1", port)


@pytest.mark.parametrize(
    ("status", "says", "heard"),
    [
        (503, '{"checked": true, "reasons": ["Xid 79 of 0000:06:00", "slow"]}', "Xid 79 of 0000:06:00; slow"),
        (503, '{"reasons": ["a\\nb\\u001b[31mc"]}', "ab[31mc"),
        (503, '{"reasons": ["' + "x" * 999 + '"]}', "x" * health.LONGEST),
        (503, '{"checked": false, "reasons": []}', None),
        (200, '{"reasons": ["no"]}', None),
        (503, '{"reasons": 7}', None),
        (503, "[]", None),
        (503, "<html>", None),
        (503, '{"reasons": ["' + "x" * health.ANSWER + '"]}', None),
    ],
)
def test_a_host_says_in_a_line_why_its_cards_may_not_serve(status: int, says: str, heard: str | None) -> None:
    with model("127.0.0.11", status=status, says=says) as port, model("127.0.0.12", port):
        told = health.complaints(["127.0.0.11", "127.0.0.12", "127.0.0.13"], port)
    assert told == ({} if heard is None else {"127.0.0.11": heard})
    assert health.complaints([], port) == {}
