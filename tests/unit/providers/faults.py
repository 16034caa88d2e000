"""The network between a provider's client and its API, which fails the requests that a plan names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import requests
from requests.adapters import HTTPAdapter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

type Wrap = Callable[[ASGIApp], ASGIApp]
type Fault = Literal[
    "refused",  # the connection ends before anything was done
    "busy",  # 503, nothing was done
    "killed before",  # our process ends at this call
    "killed after",  # the same, but the API has done it
    "lost",  # done, but the connection ends without an answer
    "half",  # done, but the connection ends in the middle of the answer
    "empty",  # done, but the answer has no body
    "nonsense",  # done, but the answer is JSON of something else
    "bad gateway",  # done, but a proxy answers in HTML
]
FAULTS: tuple[Fault, ...] = get_args(Fault.__value__)
_HEADER = "X-Fault"  # tells our side of the API what to do to a request


class Killed(BaseException):
    """Our process ends here: nothing may catch it."""


class Network:
    """Counts the requests from 1. `send` is for the client's side, `wrap` for the API's."""

    def __init__(self) -> None:
        self.begin({})

    def begin(self, plan: Mapping[int, Fault]) -> None:
        """Count anew, and fail the requests of these numbers."""
        self._plan = plan
        self.methods: list[str] = []  # of the requests so far
        self.failed: list[str] = []  # each fault that has happened, and where

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither count nor fail what is requested in the block."""
        kept = self._plan, self.methods
        self._plan, self.methods = {}, []
        try:
            yield
        finally:
            self._plan, self.methods = kept

    def send(
        self,
        carry_out: Callable[..., requests.Response],
        adapter: HTTPAdapter,
        request: requests.PreparedRequest,
        **options: Any,
    ) -> requests.Response:
        """Carry out a request in place of `HTTPAdapter.send`, on which all our clients' libraries are built."""
        self.methods.append(str(request.method))
        number = len(self.methods)
        fault = self._plan.get(number)
        request.headers.pop(_HEADER, None)  # a client may send a request again
        if fault:
            self.failed.append(f"{fault} at request {number}, {request.method} {request.path_url}")
            request.headers[_HEADER] = fault
        if fault == "killed before":
            raise Killed
        answer = carry_out(adapter, request, **options)
        if fault == "killed after":
            raise Killed
        return answer

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def spoilt(scope: Scope, receive: Receive, send: Send) -> None:
            fault = Headers(scope=scope).get(_HEADER) if scope["type"] == "http" else None
            if fault in (None, "killed after"):
                await app(scope, receive, send)
                return
            if fault == "busy":
                await Request(scope, receive).body()
                await PlainTextResponse("no server is free", 503)(scope, receive, send)
            elif fault == "refused":
                await _hang_up(receive, send)
            else:
                await _spoil(str(fault), await _answer(app, scope, receive), scope, receive, send)

        return spoilt


async def _answer(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages


async def _spoil(fault: str, answer: list[Message], scope: Scope, receive: Receive, send: Send) -> None:
    start, *rest = answer
    if fault == "lost":
        await _hang_up(receive, send)
    elif fault == "half":
        body = b"".join(message.get("body", b"") for message in rest)
        await send(start)
        if body:
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await _hang_up(receive, send)
    elif fault == "empty":
        await Response(status_code=start["status"])(scope, receive, send)
    elif fault == "nonsense":
        await Response('{"news": []}', 200, media_type="application/json")(scope, receive, send)
    else:
        assert fault == "bad gateway", fault
        await HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)(scope, receive, send)


async def _hang_up(receive: Receive, send: Send) -> None:
    """End the connection. ASGI has no word for it, so we ask uvicorn, whose method `send` is."""
    send.__self__.transport.close()  # type: ignore[attr-defined]  # see above
    while (await receive())["type"] != "http.disconnect":
        """Only then uvicorn knows, and sends nothing of its own."""
