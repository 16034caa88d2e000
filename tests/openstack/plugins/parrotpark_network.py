"""Neutron's side of the stand-in: binds every port, as no agent runs here that could."""

from __future__ import annotations

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2.api import MechanismDriver, PortContext


class Binds(MechanismDriver):  # type: ignore[misc]  # neutron has no types
    """Says of every port that it is plugged in."""

    def initialize(self) -> None:
        """There is nothing to prepare."""

    def bind_port(self, context: PortContext) -> None:
        """Bind it as a kind that nova still takes."""
        segment = context.segments_to_bind[0]
        context.set_binding(segment["id"], portbindings.VIF_TYPE_OVS, {}, status="ACTIVE")
