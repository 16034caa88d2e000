"""Scarcity to order: the command line orders it, the API answers with it, status shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localcloud import __main__ as command_line
from localcloud.core import scarcity
from tests.cloud_in_memory import LocalCloud

SERVER = {"name": "gpu-1", "server_type": "gpu-l4", "image": "debian-13", "location": "fsn1"}
SOLD_OUT = ["scarce", "--type", "gpu-l4", "--location", "fsn1"]


@pytest.fixture(autouse=True)
def command_line_of(cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line speaks of the cloud that the test has."""
    monkeypatch.setattr(command_line, "STATE", cloud.store.directory)
    monkeypatch.setattr(command_line, "COMMAND_LOCK", tmp_path / "command.lock")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_without_capacity_an_offer_is_refused_and_others_are_not(cloud: LocalCloud) -> None:
    assert command_line.main([*SOLD_OUT, "on"]) == 0
    assert cloud.refusal("POST", "/servers", SERVER) == (412, "resource_unavailable")
    cloud.do("/servers", {**SERVER, "location": "nbg1"})
    assert command_line.main([*SOLD_OUT, "off"]) == 0
    cloud.do("/servers", {**SERVER, "name": "gpu-2"})


def test_a_limit_is_one_project_s(cloud: LocalCloud) -> None:
    assert command_line.main(["limit", "--project", "gpu", "1"]) == 0
    cloud.do("/servers", SERVER, project="gpu")
    second = {**SERVER, "name": "gpu-2"}
    assert cloud.refusal("POST", "/servers", second, project="gpu") == (403, "resource_limit_exceeded")
    for name in ("one", "two"):
        cloud.do("/servers", {**SERVER, "name": name}, project="entry")
    assert command_line.main(["limit", "--project", "gpu", "off"]) == 0
    cloud.do("/servers", second, project="gpu")


def test_what_is_scarce_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    command_line.main([*SOLD_OUT, "on"])
    capsys.readouterr()
    command_line.main(["limit", "--project", "gpu", "2"])
    both = ["no capacity for gpu-l4 in fsn1", "limit of project gpu: 2 servers"]
    assert capsys.readouterr().out.splitlines() == both
    command_line.main([*SOLD_OUT, "off"])
    command_line.main(["limit", "--project", "gpu", "off"])
    assert capsys.readouterr().out.splitlines() == [both[1], "nothing is scarce"]


def test_scarcity_outlives_the_daemon(cloud: LocalCloud) -> None:
    wanted = scarcity.Scarcity().with_offer("gpu-l4", "fsn1", sold_out=True).with_limit("gpu", 0)
    scarcity.write(cloud.store.directory, wanted)
    assert scarcity.read(cloud.store.directory) == wanted


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["scarce", "--type", "h100", "--location", "fsn1", "on"], "invalid choice: 'h100'"),
        (["scarce", "--type", "gpu-l4", "--location", "mars", "on"], "invalid choice: 'mars'"),
        (["limit", "--project", "gpu", "many"], "'many' is neither a number nor off"),
    ],
)
def test_wrong_orders_are_refused(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(arguments)
    assert complaint in capsys.readouterr().err


def test_where_there_is_no_local_cloud_nothing_is_scarce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "STATE", tmp_path / "absent")
    assert command_line.main([*SOLD_OUT, "on"]) == 1
    assert capsys.readouterr().err == "there is no local cloud on this machine: start it first\n"
