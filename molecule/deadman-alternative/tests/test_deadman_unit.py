"""The models of a machine that is always there run while the entry server says that there is a lease."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

SERVICE = "parrotpark-deadman.service"
HEARD_WITHIN_SECONDS = 25  # two looks of the timer, and a bit


@pytest.fixture(scope="module")
def entry_server(host: Host) -> Iterator[None]:
    """Somebody who says what lies in /run/leases/gpu-1."""
    host.check_output("mkdir --parents /run/leases")
    server = "python3 -m http.server --bind 127.0.0.1 --directory /run/leases 8003"
    host.check_output(f"systemd-run --quiet --unit=entry-server {server}")
    host.check_output("curl --silent --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8003/")
    yield
    host.check_output("systemctl stop entry-server.service models.target afterwards.target")


def tell(host: Host, until: int) -> None:
    host.check_output("echo %s > /run/leases/gpu-1", str(until))


def await_units(host: Host, wanted: dict[str, bool]) -> None:
    """Wait until exactly these of the units are active."""
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS
    while (found := {unit: host.service(unit).is_running for unit in wanted}) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_unit_is_sandboxed(host: Host) -> None:
    host.check_output("systemd-analyze security --threshold=20 %s", SERVICE)


def test_nothing_else_starts_the_models(host: Host) -> None:
    assert not host.service("models.target").is_enabled


@pytest.mark.usefixtures("entry_server")
def test_the_models_follow_the_lease(host: Host) -> None:
    tell(host, int(time.time()) + 600)
    await_units(host, {"models.target": True, "model.service": True, "afterwards.target": False})
    tell(host, 0)
    await_units(host, {"models.target": False, "model.service": False, "afterwards.target": True})
    host.check_output("systemctl stop afterwards.target")
    time.sleep(HEARD_WITHIN_SECONDS)
    assert not host.service("afterwards.target").is_running


@pytest.mark.usefixtures("entry_server")
def test_a_model_that_somebody_stopped_comes_back(host: Host) -> None:
    tell(host, int(time.time()) + 600)
    await_units(host, {"model.service": True})
    host.check_output("systemctl stop model.service")
    await_units(host, {"model.service": True})


@pytest.mark.usefixtures("entry_server")
def test_what_changes_nothing_leaves_no_line_in_the_journal(host: Host) -> None:
    tell(host, int(time.time()) + 600)
    await_units(host, {"models.target": True})
    time.sleep(2)
    log = f"journalctl --unit={SERVICE} --no-pager --output=cat"
    before = host.check_output(log)
    time.sleep(HEARD_WITHIN_SECONDS)
    assert host.check_output(log) == before
