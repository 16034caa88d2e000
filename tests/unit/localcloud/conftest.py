"""The API of the local cloud over a backend in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud_in_memory import LocalCloud, MemoryBackend


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A started local cloud with nothing in it."""
    cloud = LocalCloud(tmp_path, MemoryBackend())
    with cloud.client:
        cloud.backend.calls.clear()
        yield cloud
        cloud.backend.gate.set()
