"""The second sweep deletes what nobody else has deleted, never what may live, and needs only what opens the clouds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Account, Leftover, Offer, ServerSpec
from parrotpark.cloud.errors import Transient
from parrotpark.cloud.hetzner import HetznerCloud
from parrotpark.control import sweeper
from parrotpark.control.sweeper import GRACE, sweep
from parrotpark.fleet.errors import WrongProject
from parrotpark.shared.lease import ROLE, Lease, State

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import FakeCloud

NOW = 1_800_000_000
DAY = 24 * 3600


def lease(left: int, state: State = State.SERVING, *, now: float = NOW) -> Mapping[str, str]:
    return Lease("gpu", "gpu-1", state, "entry-server", "a", int(now) + left).labels()


def put(cloud: FakeCloud, labels: Mapping[str, str], age: int = DAY) -> None:
    server = cloud.add("gpu-1", labels)
    cloud.running[server.id] = replace(server, created=NOW - age)


def leave(cloud: FakeCloud, age: int) -> None:
    cloud.unused["7"] = Leftover("volume", "7", cloud.name, "data", NOW - age)


def fail() -> None:
    raise Transient("it does not answer")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    ("left", "gone"), [(1, False), (0, False), (-GRACE, False), (-GRACE - 1, True), (DAY + GRACE + 1, True)]
)
def test_a_server_goes_when_its_lease_was_over_for_long(cloud: FakeCloud, state: State, left: int, gone: bool) -> None:
    put(cloud, lease(left, state))
    swept = sweep([cloud], lambda: NOW)
    assert (len(swept.actions), cloud.calls) == ((1, ["delete gpu-1"]) if gone else (0, []))
    assert swept.troubles == ()


def test_the_longest_lease_is_believed_whatever_the_clocks(cloud: FakeCloud) -> None:
    put(cloud, lease(DAY + GRACE))
    assert sweep([cloud], lambda: NOW).actions == ()


@pytest.mark.parametrize(("age", "gone"), [(GRACE, False), (GRACE + 1, True)])
@pytest.mark.parametrize("labels", [{}, {"parrotpark-until": "tomorrow"}, {ROLE: "gpu"}])
def test_a_server_without_a_lease_goes_when_it_is_old(
    cloud: FakeCloud, labels: Mapping[str, str], age: int, gone: bool
) -> None:
    put(cloud, labels, age)
    sweep([cloud], lambda: NOW)
    assert cloud.calls == ["delete gpu-1"] * gone


@pytest.mark.parametrize(("age", "gone"), [(GRACE, False), (GRACE + 1, True)])
def test_what_no_server_uses_goes_when_it_is_old(cloud: FakeCloud, age: int, gone: bool) -> None:
    leave(cloud, age)
    sweep([cloud], lambda: NOW)
    assert cloud.calls == ["delete volume data"] * gone


def test_a_check_deletes_nothing(cloud: FakeCloud) -> None:
    put(cloud, lease(-DAY))
    leave(cloud, DAY)
    swept = sweep([cloud], lambda: NOW, check=True)
    assert [str(action) for action in swept.actions] == [
        "gpu-1: delete at once, its lease ended 86400 s ago",
        "volume data: delete, no server uses it",
    ]
    assert cloud.calls == []


def test_a_project_with_other_servers_is_left_alone(cloud: FakeCloud, make_cloud: Callable[[str], FakeCloud]) -> None:
    other = make_cloud("other")
    put(other, {ROLE: "entry"})
    put(cloud, lease(-DAY))
    leave(other, DAY)
    with pytest.raises(WrongProject):
        sweep([cloud, other], lambda: NOW)
    assert cloud.calls == other.calls == []


def test_a_machine_that_sleeps_in_between_sees_no_lease_older_than_it_was(cloud: FakeCloud) -> None:
    """The entry server renews it meanwhile."""
    put(cloud, lease(60))
    moments = iter((NOW, NOW + DAY))
    listing = cloud.servers

    def slow(labels: Mapping[str, str | None]) -> object:
        try:
            return listing(labels)
        finally:
            next(moments, None)

    cloud.servers = slow  # type: ignore[assignment, method-assign]
    assert sweep([cloud], lambda: next(moments)).actions == ()
    assert cloud.calls == []


@pytest.mark.parametrize("call", ["servers", "leftovers"])
def test_a_cloud_that_does_not_answer_holds_up_no_other(
    cloud: FakeCloud, make_cloud: Callable[[str], FakeCloud], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    silent = make_cloud("silent")
    monkeypatch.setattr(silent, call, lambda *_: fail())
    put(silent, lease(-DAY))
    put(cloud, lease(-DAY))
    swept = sweep([silent, cloud], lambda: NOW)
    assert swept.troubles == ("cloud silent cannot be asked: it does not answer",)
    assert (silent.calls, cloud.calls) == ([], ["delete gpu-1"])


def test_what_cannot_be_deleted_holds_up_nothing_else(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cloud, lease(-DAY))
    leave(cloud, DAY)
    monkeypatch.setattr(cloud, "delete", lambda _: fail())
    swept = sweep([cloud], lambda: NOW)
    assert swept.troubles == ("gpu-1: delete at once, its lease ended 86400 s ago: it does not answer",)
    assert [str(action) for action in swept.actions] == ["volume data: delete, no server uses it"]


# ---- the program that the timer starts --------------------------------------------------------------------------

SPEC = ServerSpec("gpu-1", Offer("gpu", "fsn1", "cx33"), "debian-13", {})


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says whether the clock is synchronised, as timedatectl does."""
    program = tmp_path / "bin/timedatectl"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    def say(word: str) -> None:
        wanted = "show --property=NTPSynchronized --value"
        program.write_text(f'#!/bin/sh\n[ "$*" = "{wanted}" ] && echo {word}\n')
        program.chmod(0o755)

    say("yes")
    return say


@pytest.fixture
def clouds(account: Account, tmp_path: Path) -> str:
    file = tmp_path / "clouds.json"
    file.write_text(json.dumps([account.to_dict()]))
    return str(file)


@pytest.mark.usefixtures("clock")
def test_the_program_deletes_and_says_what(
    clouds: str, hetzner: HetznerCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    hetzner.create(replace(SPEC, labels=lease(-DAY, now=time.time())))
    hetzner.create(replace(SPEC, name="gpu-2", labels=lease(60, now=time.time())))
    assert sweeper.main([clouds]) == 0
    assert [server.name for server in hetzner.servers({})] == ["gpu-2"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gpu-1: delete at once, its lease ended 864")


@pytest.mark.parametrize("word", ["no", ""])
def test_a_clock_that_may_be_wrong_judges_nobody(
    clouds: str, hetzner: HetznerCloud, clock: Callable[[str], None], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of a computer which was started into Windows before."""
    clock(word)
    hetzner.create(replace(SPEC, labels=lease(-DAY, now=time.time())))
    assert sweeper.main([clouds]) == 1
    assert "this machine's clock is not synchronised" in capsys.readouterr().err
    assert len(hetzner.servers({})) == 1


@pytest.mark.usefixtures("clock")
def test_a_failure_is_the_units_own(clouds: str, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    Path(account.credential_file).write_text("x" * 64)
    assert sweeper.main([clouds]) == 1
    assert capsys.readouterr().err.startswith("parrotpark-sweeper: cloud gpu cannot be asked: hetzner: unable to")
    Path(account.credential_file).unlink()
    assert sweeper.main([clouds]) == 1
    assert capsys.readouterr().err.startswith("parrotpark-sweeper: the credential file ")
    Path(clouds).unlink()
    assert sweeper.main([clouds]) == 1


def test_without_timedatectl_nobody_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not sweeper.synchronised()
