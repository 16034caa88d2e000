"""The audit reads what programs from outside say, and misses nothing that is missed."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.programs import load

SHOWN = """\
Id=caddy.service
LoadState=loaded
FragmentPath=/usr/lib/systemd/system/caddy.service
SourcePath=
DropInPaths=/etc/systemd/system/caddy.service.d/sandbox.conf

Id=open-webui.service
LoadState=loaded
FragmentPath=/run/systemd/generator/open-webui.service
SourcePath=/etc/containers/systemd/open-webui.container
DropInPaths=

Id=parrotpark-wish-awake.service
LoadState=loaded
FragmentPath=/run/systemd/transient/parrotpark-wish-awake.service
SourcePath=
DropInPaths=

Id=e2scrub_reap.service
LoadState=masked
FragmentPath=/etc/systemd/system/e2scrub_reap.service
SourcePath=
DropInPaths=

Id=dbus.service
LoadState=loaded
FragmentPath=/usr/lib/systemd/system/dbus.service
SourcePath=
DropInPaths=
"""


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The program is no package: it is loaded from its file."""
    return load("tests/audit/audit.py")


@pytest.mark.parametrize("name", ["lynis", "lynis-container"])
def test_every_waiver_has_its_reason(audit: ModuleType, name: str) -> None:
    text = audit.profile(name)
    waived = [test for waiver in audit.parse_waivers(text) for test in waiver.names]
    assert [f"skip-test={test}" for test in waived] == [line for line in text.splitlines() if line[:1] not in ("", "#")]


def test_a_waiver_without_a_reason_is_refused(audit: ModuleType) -> None:
    with pytest.raises(audit.AuditError, match="AUTH-1"):
        audit.parse_waivers("# why\nskip-test=AUTH-0\n\nskip-test=AUTH-1\n")


def test_our_units_are_found_and_no_others(audit: ModuleType) -> None:
    assert audit.parse_units(SHOWN) == ["caddy.service", "open-webui.service", "parrotpark-wish-awake.service"]


def test_lynis_is_read(audit: ModuleType) -> None:
    report = "hardening_index=66\nwarning[]=FIRE-1|no rules|-|-|\nsuggestion[]=SSH-1|harden|Port (22)|-|\n"
    assert audit.parse_lynis(report) == (66, ("FIRE-1: no rules", "SSH-1: harden (Port (22))"))


def test_a_lynis_that_did_not_end_is_no_result(audit: ModuleType) -> None:
    with pytest.raises(audit.AuditError):
        audit.parse_lynis("lynis_version=3.1.4\n")


def test_ssh_audit_is_read(audit: ModuleType) -> None:
    kex = {"algorithm": "curve25519", "notes": {"warn": ["not post-quantum"], "info": ["old"]}}
    mac = {"algorithm": "sha1", "notes": {"fail": ["broken"]}}
    report = {"kex": [kex], "key": [], "enc": [{"algorithm": "aes", "notes": {}}], "mac": [mac]}
    assert audit.parse_ssh_audit(report) == ("curve25519: not post-quantum", "sha1: broken")


def test_exposures_are_read(audit: ModuleType) -> None:
    said = "✗ User= 0.4\n→ Overall exposure level for a.service: 9.6 UNSAFE :-{\n"
    assert audit.parse_exposures(said) == {"a.service": 9.6}


@pytest.mark.parametrize(
    ("index", "ssh", "units", "missed"),
    [
        (85, (), {"a.service": 2.0, "open-webui.service": 9.6}, []),
        (84, (), {"a.service": 2.0}, ["h: Lynis: 84, which is less than 85"]),
        (85, ("sha1: broken",), {"a.service": 2.0}, ["h: ssh-audit: sha1: broken"]),
        (85, (), {"a.service": 2.1}, ["h: a.service: 2.1, which is more than 2.0"]),
        (85, (), {}, ["h: systemd-analyze: no unit of ours was found"]),
    ],
)
def test_what_is_missed_is_named(
    audit: ModuleType, index: int, ssh: tuple[str, ...], units: dict[str, float], missed: list[str]
) -> None:
    assert audit.Findings("h", index, (), ssh, units).missed() == missed
