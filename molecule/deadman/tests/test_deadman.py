"""A host lives while somebody says so, and ends by itself when nobody does. The last test switches the machine off."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.machines import client, unread

SERVICE, TIMER = "parrotpark-deadman.service", "parrotpark-deadman.timer"
PROGRAM = "/usr/local/sbin/parrotpark-deadman"
POWERED_OFF_WITHIN_SECONDS = 120  # the timer's minute, and the way down


def seconds_left(host: Host) -> int:
    """Run the service once, and return what it said."""
    # The timer's run would be awaited in place of another, though it may have begun before its slot was there.
    host.check_output("systemctl stop %s %s", TIMER, SERVICE)
    unread(host, SERVICE)
    host.check_output("systemctl start %s", SERVICE)
    said = unread(host, SERVICE)
    host.check_output("systemctl start %s", TIMER)
    match = re.search(r"(\d+) s left", said)
    assert match is not None, said
    return int(match[1])


def step_into_slot(host: Host, left: int) -> None:
    document = {"hostname": "gpu-1", "lease": {"until": int(time.time()) + left}}
    host.check_output("install --directory --mode=0700 /etc/parrotpark")
    host.check_output("printf %s > /etc/parrotpark/slot.json", json.dumps(document))


@pytest.fixture
def slot(host: Host) -> Iterator[None]:
    """A slot whose lease is over after ten minutes; later than the grace after a boot."""
    step_into_slot(host, 600)
    yield
    host.check_output("rm --force /etc/parrotpark/slot.json /run/parrotpark-deadman/end")


@pytest.fixture
def entry_server(host: Host) -> Iterator[None]:
    """Somebody who says that the lease lasts for half an hour."""
    host.check_output("mkdir --parents /run/leases")
    host.check_output("echo %s > /run/leases/gpu-1", str(int(time.time()) + 1800))
    server = "python3 -m http.server --bind 127.0.0.1 --directory /run/leases 8003"
    host.check_output(f"systemd-run --quiet --unit=entry-server {server}")
    host.check_output("curl --silent --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8003/gpu-1")
    yield
    host.check_output("systemctl stop entry-server.service")


def test_the_timer_runs_now_and_at_boot(host: Host) -> None:
    timer = host.service(TIMER)
    assert timer.is_running
    assert timer.is_enabled


def test_unit_is_sandboxed(host: Host) -> None:
    host.check_output("systemd-analyze security --threshold=20 %s", SERVICE)


def test_a_host_without_a_slot_may_live_for_three_hours(host: Host) -> None:
    assert 9000 < seconds_left(host) < 10800


@pytest.mark.usefixtures("slot")
def test_a_host_that_hears_of_nobody_has_the_lease_it_was_made_with(host: Host) -> None:
    assert 500 < seconds_left(host) <= 600


@pytest.mark.usefixtures("slot", "entry_server")
def test_what_was_heard_is_remembered(host: Host) -> None:
    assert 1700 < seconds_left(host) <= 1800
    host.check_output("rm /run/leases/gpu-1")
    assert 1700 < seconds_left(host) <= 1800


def test_a_host_whose_lease_is_over_powers_off(host: Host) -> None:
    machine = client("test").servers.get_by_name("molecule-deadman")
    assert machine
    assert machine.status == "running"
    # Nobody wants to wait here for the five minutes after a boot. No byte more or less: the program is an archive.
    host.check_output("sed --in-place 's/^GRACE = 300 /GRACE = 0x0 /' %s", PROGRAM)
    host.check_output("grep --text --quiet '^GRACE = 0x0 ' %s", PROGRAM)
    step_into_slot(host, -60)
    # The timer sees it by itself; what only fell silent would still be billed.
    deadline = time.monotonic() + POWERED_OFF_WITHIN_SECONDS
    while machine.status != "off":
        assert time.monotonic() < deadline, "the machine is still there"
        time.sleep(1)
        machine.reload()
