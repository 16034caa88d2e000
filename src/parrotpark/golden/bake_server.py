"""The one server that a golden image is baked on: always a fresh one, unless another control machine is baking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from parrotpark.cloud import Cloud, Offer, Server, ServerSpec
from parrotpark.cloud.acquire import Acquirer
from parrotpark.cloud.errors import CloudError, InvalidRequest
from parrotpark.gpu_host.deadman import WITHOUT_LEASE
from parrotpark.shared import lease as label
from parrotpark.shared.lease import GPU, Lease, LeaseError, State
from parrotpark.shared.slot_document import LONGEST_LEASE

HOUR = 3600  # seconds
LONGEST_BAKE = WITHOUT_LEASE  # seconds; then the host switches itself off, in the middle of a bake with a longer lease


class BeingBaked(CloudError):
    """Another run is baking on the server right now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The server to bake on."""

    name: str
    offers: tuple[Offer, ...]  # in order of preference
    image: str
    maker: str
    fingerprint: str
    term: int  # seconds that its lease lasts
    ssh_keys: tuple[str, ...] = ()
    firewalls: tuple[str, ...] = ()
    user_data: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to delete before the new server is made, the new server's labels, and why."""

    reason: str
    delete: tuple[Server, ...]
    labels: Mapping[str, str]


def name_at(prefix: str, cloud: str) -> str:
    """Name the server that an image is baked on in a cloud: the inventory holds those of all clouds at once."""
    return f"{prefix}-{cloud}"


def find(cloud: Cloud, name: str) -> Sequence[Server]:
    """List the servers that were made to bake on under this name: one call."""
    return cloud.servers({label.ROLE: GPU, label.SLOT: name})


def decide(found: Sequence[Server], wanted: Wanted, now: int) -> Plan:
    """Plan a new server in place of what an interrupted run has left; `now` is epoch seconds.

    Nothing is baked twice: a host that has been sealed lets nobody in, and only a fresh one makes the same image again.

    Raises:
        BeingBaked: another maker's lease is valid.
        InvalidRequest: the lease would be too short or too long.
        LeaseError: a value cannot be a label.
    """
    if not 0 < wanted.term <= LONGEST_BAKE:
        hours = LONGEST_BAKE // HOUR
        raise InvalidRequest(f"a lease of {wanted.term // HOUR} hours is not possible: give 1 to {hours}")
    new = Lease(GPU, wanted.name, State.BAKING, wanted.maker, wanted.fingerprint, now + wanted.term)
    reasons = "; ".join(f"{server.name} goes: {_objection(server, wanted, now)}" for server in found)
    return Plan(reasons or f"there is no server {wanted.name}", tuple(found), new.labels())


def check(cloud: Cloud, plan: Plan, wanted: Wanted) -> None:
    """Refuse a server that the cloud could never make, before the one it is to replace is deleted.

    Raises:
        CloudError: the cloud lacks something that was named, or cannot be asked.
    """
    cloud.check(_specs(wanted, plan.labels))


def carry_out(cloud: Cloud, plan: Plan, wanted: Wanted) -> Server:
    """Delete what the plan says, and make the new server.

    Raises:
        BeingBaked: another run was quicker.
        CloudError: the cloud refused something; everything before it is done, and the next run goes on from there.
    """
    for server in plan.delete:
        cloud.delete(server)
    server = Acquirer(cloud).acquire(_specs(wanted, plan.labels))
    if dict(server.labels) != dict(plan.labels):
        # The acquirer adopts a server of the same fingerprint that another run made, which is right except for a bake.
        raise _being_baked(server, Lease.parse(server.labels))
    return server


def _objection(server: Server, wanted: Wanted, now: int) -> str:
    """Say why the server must go; raise `BeingBaked` if it must not."""
    try:
        lease = Lease.parse(server.labels)
    except LeaseError as error:
        return str(error)
    if not lease.valid(now):
        return f"its lease ended {now - lease.until} s ago"
    if lease.until - now > LONGEST_LEASE:
        return "its lease ends more than a day from now"
    if lease.maker != wanted.maker:
        raise _being_baked(server, lease)
    return "an earlier run of ours did not finish it"


def _being_baked(server: Server, lease: Lease) -> BeingBaked:
    until = datetime.fromtimestamp(lease.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return BeingBaked(
        f"{lease.maker} is baking a golden image on server {server.name} and may do so until {until}: "
        "wait until it is done, or delete that server"
    )


def _specs(wanted: Wanted, labels: Mapping[str, str]) -> list[ServerSpec]:
    if not wanted.offers:
        raise InvalidRequest("no offer is given: name at least one location and server type")
    return [
        ServerSpec(
            name=wanted.name,
            offer=offer,
            image=wanted.image,
            labels=labels,
            ssh_keys=wanted.ssh_keys,
            firewalls=wanted.firewalls,
            user_data=wanted.user_data,
        )
        for offer in wanted.offers
    ]
