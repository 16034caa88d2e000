"""What is the same for every project: locations, server types, prices; and the kinds that this cloud lacks."""

from __future__ import annotations

from localcloud.api import offer_views as views
from localcloud.api.call import Call, Handler, Reply
from localcloud.api.errors import ApiError, not_found
from localcloud.core import catalogue


def locations(call: Call) -> Reply:
    return call.listing("locations", catalogue.LOCATIONS, views.location)


def location(call: Call) -> Reply:
    for each in catalogue.LOCATIONS:
        if each.id == call.id:
            return 200, {"location": views.location(each)}
    raise not_found(f"location with ID '{call.id}'")


def server_types(call: Call) -> Reply:
    return call.listing("server_types", catalogue.SERVER_TYPES, views.server_type)


def server_type(call: Call) -> Reply:
    for each in catalogue.SERVER_TYPES:
        if each.id == call.id:
            return 200, {"server_type": views.server_type(each)}
    raise not_found(f"server type with ID '{call.id}'")


def pricing(_call: Call) -> Reply:
    return 200, {"pricing": views.pricing()}


def none_of(key: str) -> Handler:
    """List a kind of resource that this cloud lacks: clients look a name up there before they do without it."""
    return lambda call: call.listing(key, (), dict)


def datacenters(_call: Call) -> Reply:
    raise ApiError(410, "deprecated_api_endpoint", "datacenters were removed on 2026-10-01: use locations")
