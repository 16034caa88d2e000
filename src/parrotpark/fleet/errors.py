"""What can go wrong with the fleet, besides the cloud's own errors."""

from __future__ import annotations


class FleetError(Exception):
    """Base of the fleet's errors; the message is one line that says what to do."""


class WrongProject(FleetError):
    """The token opens a project that is not the GPU hosts' own."""


class NotMade(FleetError):
    """A GPU host is wanted, but there is no golden image to make it from, or too many were lost before it."""


class NotReached(FleetError):
    """The wish is not fulfilled in time, or somebody has changed it meanwhile."""


class GateError(FleetError):
    """New requests to a slot could not be kept away."""
