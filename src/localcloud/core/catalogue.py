"""What the local cloud has for everybody: locations, server types with their prices, system images.

Names and sizes are Hetzner's, prices are rounded from its list of 2026. The GPU types are stand-ins: Hetzner has none
and neither has this machine, but a scheduler needs something to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

VAT_PERCENT = Decimal(19)
HOURS_A_MONTH = 624  # Hetzner bills a month at most as 26 days


@dataclass(frozen=True, slots=True)
class Location:
    id: int
    name: str
    description: str
    country: str
    city: str
    latitude: float
    longitude: float
    network_zone: str = "eu-central"


@dataclass(frozen=True, slots=True)
class ServerType:
    id: int
    name: str
    description: str
    category: str
    cpu_type: str
    cores: int
    memory_gb: int
    disk_gb: int
    hourly: Decimal  # EUR net
    locations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SystemImage:
    id: int
    name: str
    description: str
    os_flavor: str
    os_version: str


LOCATIONS = (
    Location(1, "fsn1", "Falkenstein DC Park 1", "DE", "Falkenstein", 50.47612, 12.370071),
    Location(2, "nbg1", "Nuremberg DC Park 1", "DE", "Nuremberg", 49.452102, 11.076665),
    Location(3, "hel1", "Helsinki DC Park 1", "FI", "Helsinki", 60.169855, 24.938379),
)

_EVERYWHERE = ("fsn1", "nbg1", "hel1")
_STAND_IN = "local stand-in: no GPU"

SERVER_TYPES = (
    ServerType(114, "cx23", "CX23", "Cost-Optimized", "shared", 2, 4, 40, Decimal("0.0056"), _EVERYWHERE),
    ServerType(115, "cx33", "CX33", "Cost-Optimized", "shared", 4, 8, 80, Decimal("0.0088"), _EVERYWHERE),
    ServerType(116, "cx43", "CX43", "Cost-Optimized", "shared", 8, 16, 160, Decimal("0.0152"), _EVERYWHERE),
    ServerType(98, "ccx33", "CCX33", "General Purpose", "dedicated", 8, 32, 240, Decimal("0.0777"), _EVERYWHERE),
    ServerType(
        901, "gpu-l4", f"L4 ({_STAND_IN})", _STAND_IN, "dedicated", 8, 16, 160, Decimal("0.75"), ("fsn1", "nbg1")
    ),
    ServerType(902, "gpu-l40s", f"L40S ({_STAND_IN})", _STAND_IN, "dedicated", 8, 24, 240, Decimal("1.40"), ("hel1",)),
)

# Offered if the backend holds them.
SYSTEM_IMAGES = (
    SystemImage(11, "debian-12", "Debian 12", "debian", "12"),
    SystemImage(13, "debian-13", "Debian 13", "debian", "13"),
    SystemImage(24, "ubuntu-24.04", "Ubuntu 24.04", "ubuntu", "24.04"),
)

PRIMARY_IP_HOURLY = Decimal("0.0008")
VOLUME_GB_MONTH = Decimal("0.0440")
IMAGE_GB_MONTH = Decimal("0.0110")
TRAFFIC_TB = Decimal("1.0000")
INCLUDED_TRAFFIC = 20 * 10**12  # bytes a month


def location(name: str) -> Location:
    """The location of that name; raises StopIteration for an unknown one."""
    return next(place for place in LOCATIONS if place.name == name)


def server_type(name: str) -> ServerType:
    """The server type of that name; raises StopIteration for an unknown one."""
    return next(kind for kind in SERVER_TYPES if kind.name == name)
