"""The scheduler as people, its timer and the GPU hosts meet it; its cloud is empty."""

import json
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.machines import unread

SERVICE, TIMER = "parrotpark-keep.service", "parrotpark-keep.timer"
GPU_PROJECT = "/etc/parrotpark/credentials/gpu"


@pytest.fixture
def awake(host: Host) -> Iterator[None]:
    host.check_output("echo awake > /srv/wish")
    yield
    host.check_output("echo asleep > /srv/wish")


@pytest.fixture
def wrong_token(host: Host) -> Iterator[None]:
    host.check_output("cp --preserve %s /root/token && echo an-expired-one > %s", GPU_PROJECT, GPU_PROJECT)
    yield
    host.check_output("mv /root/token %s", GPU_PROJECT)


def keep(host: Host) -> int:
    """Run it; returns its exit status. What of the timer's was under way, from before a change, is awaited first."""
    host.run("systemctl start %s", SERVICE)
    host.run("systemctl reset-failed %s", SERVICE)  # it refuses a sixth start within ten seconds
    unread(host, SERVICE)
    return int(host.run("systemctl start %s", SERVICE).rc)


def test_the_timer_runs_now_and_at_boot(host: Host) -> None:
    timer = host.service(TIMER)
    assert timer.is_running
    assert timer.is_enabled
    before = host.check_output("systemctl show --value --property=LastTriggerUSec %s", TIMER)
    deadline = time.monotonic() + 90
    while host.check_output("systemctl show --value --property=LastTriggerUSec %s", TIMER) == before:
        assert time.monotonic() < deadline, "it did nothing for a minute and a half"
        time.sleep(2)


def test_it_keeps_the_wish(host: Host) -> None:
    host.check_output("systemctl start %s", SERVICE)  # so that none of the timer's is under way, which would be awaited
    before = asked_for_servers(host)
    assert host.run("systemctl start %s", SERVICE).rc == 0
    assert asked_for_servers(host) > before
    assert host.check_output("systemctl --failed --no-legend") == ""


def asked_for_servers(host: Host) -> int:
    """How often the cloud was asked which servers there are."""
    return str(host.check_output("journalctl --unit=cloud --output=cat")).count("GET /v1/servers")


def test_the_folder_of_the_leases_is_there_for_everybody_to_read(host: Host) -> None:
    host.check_output("systemctl start %s", SERVICE)
    host.check_output("runuser --user=nobody -- ls /run/parrotpark/leases")


def test_status_tells_wish_and_image(host: Host) -> None:
    said = json.loads(host.check_output("parrotpark status --json"))
    assert (said["wish"], said["image_current"]) == ("asleep", False)
    assert [slot["slot"] for slot in said["slots"]] == ["gpu-1"]


@pytest.mark.usefixtures("awake")
def test_without_an_image_it_says_what_to_do(host: Host) -> None:
    assert keep(host) == 1
    assert "make wake" in unread(host, SERVICE)


@pytest.mark.usefixtures("wrong_token")
def test_a_refused_token_is_named(host: Host) -> None:
    assert keep(host) == 1
    assert GPU_PROJECT in unread(host, SERVICE)


def test_secrets_are_roots_alone(host: Host) -> None:
    for path in (GPU_PROJECT, "/etc/parrotpark/slots.json"):
        assert (host.file(path).user, host.file(path).mode) == ("root", 0o600)
    assert host.run("journalctl --no-pager | grep --quiet -- '[-]of-the-test'").rc == 1


@pytest.fixture
def wish(host: Host) -> Iterator[str]:
    """A unit such as a controller starts for a wish."""
    unit = "parrotpark-wish-awake-9.service"
    host.check_output("systemd-run --quiet --unit=%s sleep infinity", unit)
    yield unit
    host.check_output("systemctl stop %s", unit)


def test_units_are_sandboxed(host: Host, wish: str) -> None:
    for unit in (SERVICE, wish):
        said = host.run("systemd-analyze security --no-pager --threshold=20 %s", unit)
        assert said.rc == 0, said.stdout.splitlines()[-1]
