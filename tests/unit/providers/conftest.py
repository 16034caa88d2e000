"""Each provider's stage in turn, behind a network that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from parrotpark.cloud import Cloud
from tests.unit.providers.faults import Network
from tests.unit.providers.stages import STAGES, Stage


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network, send = Network(), HTTPAdapter.send

    def sent(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        assert not args, "requests names its options"
        return network.send(send, adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", sent)
    # No proxy of this machine is between; to ask for one takes a third of a request's time.
    monkeypatch.setattr("requests.sessions.get_environ_proxies", lambda *_, **_options: {})
    return network


@pytest.fixture
def every_fault(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--every-fault"))


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, network: Network, tmp_path: Path) -> Iterator[Stage]:
    with STAGES[request.param](tmp_path, network.wrap) as stage:
        yield stage


@pytest.fixture
def cloud(stage: Stage) -> Cloud:
    return stage.cloud()
