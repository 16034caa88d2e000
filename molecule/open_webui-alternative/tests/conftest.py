"""The chat whose people sign in at a provider."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser import Answer, Curl, come_back, curl
from tests.open_webui import CHAT, ask, new_password, upload

__all__ = ["ask", "curl", "new_password", "upload"]


@pytest.fixture(scope="module")
def enter(curl: Curl) -> Callable[[str], Answer]:
    """Lets somebody sign in, and answers as the chat does when they come back."""
    return lambda person: come_back(
        curl, f"{CHAT}/oauth/oidc/login", person, "--resolve", "auth.parrotpark.example:8443:127.0.0.1"
    )


@pytest.fixture(scope="module")
def token(enter: Callable[[str], Answer]) -> str:
    """A session of the administrator."""
    return enter("grace").cookies["token"]
