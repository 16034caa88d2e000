"""Every unit of ours shuts away what no service of ours needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROLES = Path(__file__).parents[2] / "roles"
COMMON = {
    "[Service]",
    "LockPersonality=true",
    "NoNewPrivileges=true",
    "ProtectClock=true",
    "ProtectControlGroups=true",
    "ProtectHome=true",
    "ProtectKernelLogs=true",
    "ProtectKernelModules=true",
    "ProtectKernelTunables=true",
    "ProtectSystem=strict",
    "RestrictNamespaces=true",
    "RestrictRealtime=true",
    "RestrictSUIDSGID=true",
    "SystemCallArchitectures=native",
}
# What a few cannot live with: cards are devices, whoever compiles while it runs writes what it executes, who reads
# cards or switches units looks at other processes, and join names the host.
MOSTLY = {
    "MemoryDenyWriteExecute=true": {"gpu_health", "keycloak", "litellm", "vllm"},
    "PrivateDevices=true": {"gpu_health", "vllm", "wireguard"},
    "PrivateTmp=true": {"base"},  # nothing of it writes
    "ProtectHostname=true": {"join"},
    "ProtectProc=invisible": {"deadman", "gpu_health", "join"},
}
OWN = {"CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter", "UMask"}  # each as it needs them

# Every container's; and what each of them sets as it needs it.
CONTAINED = {
    "[Unit]",
    "[Container]",
    "[Service]",
    "[Install]",
    "DropCapability=all",
    "IPAddressDeny=any",
    "LogDriver=passthrough",
    "Network=host",
    "NoNewPrivileges=true",
    "Pull=never",  # the role does, and says how far it is
    "ReadOnly=true",
    "Restart=always",
    "RestartSec=5",
    "StartLimitIntervalSec=0",
    "WantedBy=multi-user.target",
}
CONTAINERS_OWN = {"ContainerName", "Group", "IPAddressAllow", "Image", "MemoryMax", "TimeoutStartSec", "User"}

CONTAINERS = sorted(ROLES.glob("*/templates/*.container.j2"))

# Without those whose sandbox is a drop-in beside them, and those of containers, which Podman shuts away.
UNITS = [
    path
    for path in sorted((*ROLES.glob("*/templates/*"), *ROLES.glob("*/files/*.conf")))
    # By its name, too: one that has lost the section is what the test is to find.
    if ("[Service]" in path.read_text() or ".service" in path.suffixes or "sandbox" in path.name)
    and path.name != "parrotpark-keep.service.j2"
    and ".container" not in path.suffixes
]


def _label(path: Path) -> str:
    return f"{path.parts[-3]}: {path.name}"


def _keys(lines: set[str]) -> set[str]:
    return {line.partition("=")[0] for line in lines}


@pytest.mark.parametrize("unit", UNITS, ids=_label)
def test_a_unit_has_the_common_sandbox(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert lines >= COMMON | {line for line, without in MOSTLY.items() if unit.parts[-3] not in without}
    assert _keys(lines) >= OWN
    assert "IPAddressDeny=any" in lines or "IPAddressAllow" not in _keys(lines)


@pytest.mark.parametrize("unit", CONTAINERS, ids=_label)
def test_a_container_is_shut_away_and_started_like_the_others(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert lines >= CONTAINED
    assert _keys(lines) >= CONTAINERS_OWN


@pytest.mark.parametrize("unit", [*sorted(ROLES.glob("*/templates/*.service.j2")), *CONTAINERS], ids=_label)
def test_the_journal_names_a_unit_in_words(unit: Path) -> None:
    assert re.search(r"^\[Unit\]\nDescription=[A-Z]", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", sorted(ROLES.glob("*/templates/*.timer.j2")), ids=_label)
def test_a_timer_runs_from_the_boot_on(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert lines >= {"[Unit]", "[Timer]", "[Install]", "WantedBy=timers.target"}


@pytest.mark.parametrize("unit", sorted(ROLES.glob("*/templates/*.service.j2")), ids=_label)
def test_a_service_starts_something(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert "ExecStart" in _keys(lines)
    # Of any other type it would count as started before it has done its work.
    assert "Type=oneshot" in lines or "RemainAfterExit=true" not in lines
