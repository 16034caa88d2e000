"""The chat whose people have passwords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.open_webui import ask, new_password, upload

__all__ = ["ask", "new_password", "upload"]

ADMIN = "admin@parrotpark.example"


@pytest.fixture(scope="module")
def token(ask: Callable[..., Any], new_password: Callable[[str], str]) -> str:
    """A session of the administrator."""
    return str(ask("/api/v1/auths/signin", {"email": ADMIN, "password": new_password(ADMIN)})["token"])
