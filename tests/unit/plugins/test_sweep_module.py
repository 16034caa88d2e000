"""parrotpark_sweep deletes what has had no valid lease for long, and needs no entry server."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from parrotpark.cloud import Account, Offer, ServerSpec, connect
from parrotpark.shared.lease import Lease, State

type Run = Callable[..., dict[str, Any]]
type Cloud = dict[str, str]


@pytest.fixture
def sweep(run_module: Run, load_module: Callable[[str], ModuleType]) -> Run:
    module = load_module("parrotpark_sweep")
    return lambda *clouds, check=False: run_module(module, clouds=list(clouds), _ansible_check_mode=check)


@pytest.fixture
def overdue(gpu: Cloud) -> Callable[[], list[str]]:
    """Makes a server whose lease ended an hour ago, and tells which servers there are."""
    cloud = connect(Account.of(gpu))
    labels = Lease("gpu", "gpu-1", State.SERVING, "me", "a", int(time.time()) - 3600).labels()
    cloud.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "cx33"), "debian-13", labels))
    return lambda: [server.name for server in cloud.servers({})]


def test_what_is_overdue_goes_once(sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud) -> None:
    result = sweep(gpu, check=True)
    assert (result["changed"], len(result["actions"]), overdue()) == (True, 1, ["gpu-1"])
    result = sweep(gpu)
    assert (result["changed"], overdue()) == (True, [])
    assert result["actions"][0].startswith("gpu-1: delete at once, its lease ended 360")
    result = sweep(gpu)
    assert (result["changed"], result["actions"]) == (False, [])


def test_a_cloud_that_cannot_be_asked_is_a_failure_after_the_work(
    sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud, other: Cloud
) -> None:
    result = sweep({**other, "endpoint": "http://127.0.0.1:9/v1"}, gpu)
    assert result["failed"]
    assert result["msg"].startswith("cloud other cannot be asked: nothing answers at")
    assert (len(result["actions"]), overdue()) == (1, [])


def test_the_entry_servers_project_is_refused(sweep: Run, overdue: Callable[[], list[str]], gpu: Cloud) -> None:
    spec = ServerSpec("entry-server", Offer("gpu", "fsn1", "cx33"), "debian-13", {"parrotpark-role": "entry"})
    connect(Account.of(gpu)).create(spec)
    assert "give the GPU hosts a project of their own; nothing is touched" in sweep(gpu)["msg"]
    assert overdue() == ["gpu-1", "entry-server"]
