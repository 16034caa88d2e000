"""What a project of OpenStack tells of its credential and its quota before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keystoneauth1.identity.base import BaseIdentityPlugin
from openstack.connection import Connection

from parrotpark.cloud.api import Offer, Prospect
from parrotpark.cloud.errors import refuse_unknown

READERS = frozenset({"reader"})  # keystone's own role for those who may look and change nothing
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class _Limit:
    """What the project may have in all, and what one server takes of it."""

    what: str
    most: int
    each: int

    @property
    def servers(self) -> float:
        return float("inf") if self.most == UNLIMITED or not self.each else self.most // self.each


def prospect(connection: Connection, cloud: str, offers: Sequence[Offer], number: int) -> Prospect:
    """Compare the roles of the token with those that only look, and the whole quota with what the servers take.

    What is in use does not count: it is the GPU hosts' own project, so they are what uses it.

    Raises:
        InvalidRequest: a flavour is unknown.
        AttributeError, TypeError, ValueError: an answer is none.
    """
    auth = connection.session.auth
    if not isinstance(auth, BaseIdentityPlugin):  # but for those there are no roles, and we take no others
        raise ValueError("no token")
    roles = sorted(auth.get_access(connection.session).role_names or ())
    said = f"{cloud}: its credential has the role {' and '.join(roles) or '(none)'}"
    notes, faults = [], []
    if READERS.issuperset(roles):
        faults.append(f"{said}, which makes nothing: make one with member")
    else:
        notes.append(f"{said}; only the first creation shows whether that will do")
    for offer, limits in _limits(connection, offers):
        fitting = min(limit.servers for limit in limits)
        if fitting < number:
            few = " and ".join(
                f"{limit.most} of the {number * limit.each} {limit.what}" for limit in limits if limit.servers < number
            )
            faults.append(
                f"{cloud}: its quota allows {few} for {number} of {offer.server_type}: "
                "ask the provider for more, or take the offer out"
            )
        elif fitting == number:
            notes.append(f"{cloud}: its quota is used up by {number} of {offer.server_type}; a bake needs one more")
        else:
            notes.append(f"{cloud}: its quota is enough for {number} of {offer.server_type}, and for a bake")
    return Prospect(tuple(notes), tuple(faults))


def _limits(connection: Connection, offers: Sequence[Offer]) -> Iterator[tuple[Offer, tuple[_Limit, ...]]]:
    flavours = {flavour.name: flavour for flavour in connection.compute.flavors()}
    refuse_unknown("flavour", [offer.server_type for offer in offers], flavours)
    quota = connection.compute.get_limits().absolute
    for offer in dict.fromkeys(offers):
        flavour = flavours[offer.server_type]
        yield (
            offer,
            (
                _Limit("servers", quota.instances, 1),
                _Limit("cores", quota.total_cores, flavour.vcpus),
                _Limit("MB of memory", quota.total_ram, flavour.ram),
            ),
        )
