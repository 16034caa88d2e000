"""The suite for all providers, against the real OpenStack: with pytest's option --openstack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parrotpark.cloud import Cloud
from tests.openstack.stage import RealStage, stage


@pytest.fixture(name="stage")
def a_stage(real_openstack: None, tmp_path: Path) -> Iterator[RealStage]:  # noqa: ARG001, it must run
    with stage(tmp_path) as opened:
        yield opened


@pytest.fixture
def cloud(stage: RealStage) -> Cloud:
    return stage.cloud()
