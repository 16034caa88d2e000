"""The role's programs run in LiteLLM's environment, not in ours: they are loaded from their files."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.programs import load


@pytest.fixture(scope="session")
def migrate() -> ModuleType:
    return load("roles/litellm/files/migrate.py")


@pytest.fixture(scope="session")
def access() -> ModuleType:
    return load("roles/litellm/files/access.py")


@pytest.fixture(scope="session")
def guard() -> ModuleType:
    return load("roles/litellm/files/guard.py")
