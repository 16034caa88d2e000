"""Sign in to the chat as a person does: by the forms of Keycloak's pages, without a browser."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from functools import partial
from html.parser import HTMLParser
from http.client import HTTPResponse, HTTPSConnection
from http.cookiejar import CookieJar
from typing import override
from urllib.parse import urlencode

SECONDS = 60
WAY_IN = "/oauth/oidc/login"  # Open WebUI's


class SignInFailed(Exception):
    """Sign-on does not let this person in; the message says what it answers."""


def sign_in(chat: str, ca: str, login: str, password: str) -> str:
    """Return a session of the chat at this URL, the token that its page sends.

    `ca` is the file with the CA to trust, empty for the system's.

    Raises:
        SignInFailed: a page does not answer, or refuses the login.
    """
    cookies = CookieJar()
    context = ssl.create_default_context(cafile=ca or None)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies), _Https(context))
    form = _Page.read(browser, f"{chat}{WAY_IN}")
    if not form.action:
        raise SignInFailed(f"{chat}{WAY_IN} leads to no sign-in page: {form.said}")
    page = _Page.read(browser, form.action, {"username": login, "password": password})
    token = next((cookie.value for cookie in cookies if cookie.name == "token"), None)
    if not token:
        raise SignInFailed(f"{login} is not let in: {page.said}")
    return token


def way_in(url: str, ca: str) -> str:
    """Return the page, without its query, that a URL of the chat sends people to who want to sign in.

    `ca` is as for `sign_in`. The page itself is not asked: it may be out of reach from here.

    Raises:
        SignInFailed: it sends them nowhere.
    """
    browser = urllib.request.build_opener(_Stay(), _Https(ssl.create_default_context(cafile=ca or None)))
    try:
        with browser.open(url, timeout=SECONDS) as answer:
            page, said = "", str(answer.status)
    except urllib.error.HTTPError as error:
        page, said = error.headers.get("Location") or "", str(error.code)
    except OSError as error:
        raise SignInFailed(f"{url} does not answer: {error}") from error
    if not page.startswith("https://") or page.startswith("/".join(url.split("/")[:3]) + "/"):
        raise SignInFailed(f"{url} leads to no sign-in page: {page or said}")
    return page.partition("?")[0]


class _Page(HTMLParser):
    """A page of HTML: where its form leads, and what it tells people besides."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self._words: list[str] = []
        self._hidden = 0

    @classmethod
    def read(cls, browser: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None) -> _Page:
        data = urlencode(form).encode() if form else None
        try:
            with browser.open(url, data, timeout=SECONDS) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
        except OSError as error:
            raise SignInFailed(f"{url} does not answer: {error}") from error
        page = cls()
        page.feed(text)
        return page

    @property
    def said(self) -> str:
        return " ".join(" ".join(self._words).split())[:300]

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag == "form":
            self.action = dict(attrs).get("action") or ""

    @override
    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    @override
    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirect is an error, which tells where it would lead."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusting = context

    @override
    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_Connection, context=self._trusting), request)


class _Connection(HTTPSConnection):
    """Finds what ends in .localhost on this machine, as browsers do (RFC 6761, 6.3) and many resolvers do not."""

    def __init__(self, host: str, *, context: ssl.SSLContext, timeout: float = SECONDS) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._trusting = context

    @override
    def connect(self) -> None:
        address = "localhost" if self.host.endswith(".localhost") else self.host
        connection = socket.create_connection((address, self.port), self.timeout)
        self.sock = self._trusting.wrap_socket(connection, server_hostname=self.host)
