"""How locations, server types and prices look on the wire."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

from localcloud.api.call import Json
from localcloud.core import catalogue
from localcloud.core.catalogue import Location, ServerType


def location(record: Location) -> Json:
    return asdict(record)


def price(net: Decimal) -> Json:
    return {"net": f"{net:.10f}", "gross": f"{net * (100 + catalogue.VAT_PERCENT) / 100:.10f}"}


def pricing() -> Json:
    places = [place.name for place in catalogue.LOCATIONS]
    hourly = catalogue.PRIMARY_IP_HOURLY
    ip = {"price_hourly": price(hourly), "price_monthly": price(hourly * catalogue.HOURS_A_MONTH)}
    return {
        "currency": "EUR",
        "vat_rate": f"{catalogue.VAT_PERCENT:.10f}",
        "server_types": [
            {"id": kind.id, "name": kind.name, "prices": server_type_prices(kind)} for kind in catalogue.SERVER_TYPES
        ],
        "primary_ips": [{"type": "ipv4", "prices": [{"location": place, **ip} for place in places]}],
        "volume": {"price_per_gb_month": price(catalogue.VOLUME_GB_MONTH)},
        "image": {"price_per_gb_month": price(catalogue.IMAGE_GB_MONTH)},
        "server_backup": {"percentage": f"{Decimal(0):.10f}"},
        "floating_ips": [],
        "load_balancer_types": [],
    }


def server_type_prices(record: ServerType) -> list[Json]:
    return [
        {
            "location": name,
            "price_hourly": price(record.hourly),
            "price_monthly": price(record.hourly * catalogue.HOURS_A_MONTH),
            "included_traffic": catalogue.INCLUDED_TRAFFIC,
            "price_per_tb_traffic": price(catalogue.TRAFFIC_TB),
        }
        for name in record.locations
    ]


def server_type(record: ServerType) -> Json:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "category": record.category,
        "cores": record.cores,
        "memory": record.memory_gb,
        "disk": record.disk_gb,
        "storage_type": "local",
        "cpu_type": record.cpu_type,
        "architecture": "x86",
        "deprecated": False,
        "deprecation": None,
        "locations": [
            {"id": place.id, "name": place.name, "deprecation": None, "available": True, "recommended": True}
            for place in catalogue.LOCATIONS
            if place.name in record.locations
        ],
        "prices": server_type_prices(record),
    }
