"""A sign-in without a browser: it finds the form, and tells in the page's words why it fails."""

from __future__ import annotations

from http.cookiejar import CookieJar

import pytest

from parrotpark.control import sign_in as program
from parrotpark.control.sign_in import SignInFailed, _Page, sign_in

FORM = """<html><style>form {}</style><script>var form = "<form action='no'>"</script>
<form action="https://auth.example.org/login?a=1&amp;b=2" method="post"><input name="username"></form>"""


def page(text: str) -> _Page:
    read = _Page()
    read.feed(text)
    return read


def test_the_form_is_found_and_what_no_one_sees_is_no_word() -> None:
    read = page(f"{FORM}<p>Invalid  username</p>")
    assert (read.action, read.said) == ("https://auth.example.org/login?a=1&b=2", "Invalid username")


def test_a_page_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "https://chat.example.org/oauth/oidc/login": FORM,
        "https://auth.example.org/login?a=1&b=2": "<p>Locked.</p>",
    }
    monkeypatch.setattr(_Page, "read", classmethod(lambda _, __, url, *___: page(pages[url])))
    with pytest.raises(SignInFailed, match=r"^ada is not let in: Locked\.$"):
        sign_in("https://chat.example.org", "", "ada", "x")


def test_a_chat_without_sign_on_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Page, "read", classmethod(lambda *_: page("<p>Not found</p>")))
    with pytest.raises(SignInFailed, match="leads to no sign-in page: Not found"):
        sign_in("https://chat.example.org", "", "ada", "x")


def test_nobody_answers_in_a_line() -> None:
    with pytest.raises(SignInFailed, match=r"^https://127\.0\.0\.1:9/oauth/oidc/login does not answer"):
        sign_in("https://127.0.0.1:9", "", "ada", "x")


def test_the_session_is_the_chats_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Page, "read", classmethod(lambda *_: page(FORM)))
    monkeypatch.setattr(program, "CookieJar", lambda: Jar("state", "token"))
    assert sign_in("https://chat.example.org", "", "ada", "x") == "value of token"


class Jar(CookieJar):
    """Cookies as after a sign-in."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter([type("Cookie", (), {"name": name, "value": f"value of {name}"}) for name in self.names])
