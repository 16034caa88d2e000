"""The role's programs run in LiteLLM's environment, not in ours: they are loaded from their files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FILES = Path(__file__).parents[3] / "roles/litellm/files"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"litellm_{name}", FILES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def migrate() -> ModuleType:
    return load("migrate")


@pytest.fixture(scope="session")
def access() -> ModuleType:
    return load("access")


@pytest.fixture(scope="session")
def guard() -> ModuleType:
    return load("guard")


@pytest.fixture
def load_program() -> Callable[[str], ModuleType]:
    return load
