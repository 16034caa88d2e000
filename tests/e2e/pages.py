"""What people do on the pages."""

from __future__ import annotations

from collections.abc import Mapping

from playwright.sync_api import Page


def enter(page: Page, login: Mapping[str, str]) -> None:
    """Give the sign-in page a login."""
    page.locator("#username").fill(login["email"])
    page.locator("#password").fill(login["password"])
    page.locator("#kc-login").click()


def ask(page: Page, question: str) -> None:
    """Type a question and send it."""
    page.locator("#chat-input").fill(question)
    page.keyboard.press("Enter")
