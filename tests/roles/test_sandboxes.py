"""Every unit of ours shuts away what no service of ours needs."""

from __future__ import annotations

from pathlib import Path

import pytest

ROLES = Path(__file__).parents[2] / "roles"
COMMON = {
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
OWN = {"CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter", "UMask"}  # each as it needs them

# Without those whose sandbox is a drop-in beside them, and those of containers, which Podman shuts away.
UNITS = [
    path
    for path in sorted((*ROLES.glob("*/templates/*"), *ROLES.glob("*/files/*.conf")))
    if "[Service]" in path.read_text()
    and path.name != "parrotpark-keep.service.j2"
    and ".container" not in path.suffixes
]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: f"{path.parts[-3]}: {path.name}")
def test_a_unit_has_the_common_sandbox(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert lines >= COMMON
    assert {line.partition("=")[0] for line in lines} >= OWN
