"""The server of one slot: decide from the provider's list what has to happen to it, then do just that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from parrotpark import lease as label
from parrotpark.cloud import OFF, Cloud, Place, Server, ServerSpec
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.fleet.acquire import Acquirer
from parrotpark.lease import Lease, LeaseError, State

ROLE = "gpu"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The server a slot shall have."""

    slot: str
    places: tuple[Place, ...]  # in order of preference
    image: str
    maker: str
    fingerprint: str
    term: int  # seconds that a new lease lasts; it is renewed once less than half of them is left
    state: State | None = None  # None: a new server is baking, one that is there stays what it is
    ssh_keys: tuple[str, ...] = ()
    firewalls: tuple[str, ...] = ()
    user_data: str = field(default="", repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)  # beside those of the lease


class Verb(StrEnum):
    """What happens to the server of a slot."""

    CREATE = "create"
    KEEP = "keep"
    ADJUST = "adjust"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One decision about a slot, and why."""

    verb: Verb
    reason: str
    keep: Server | None = None
    delete: tuple[Server, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def find(cloud: Cloud, slot: str) -> Sequence[Server]:
    """List the servers that stand in the slot: one call."""
    return cloud.servers({label.ROLE: ROLE, label.SLOT: slot})


def decide_present(found: Sequence[Server], wanted: Wanted, now: int) -> Step:
    """Keep a server with a valid lease and the wanted fingerprint, else make one in its place.

    `now` is epoch seconds. Raises `LeaseError` where the wanted values cannot be a lease.
    """
    new = Lease(
        role=ROLE,
        slot=wanted.slot,
        state=wanted.state or State.BAKING,
        maker=wanted.maker,
        fingerprint=wanted.fingerprint,
        until=now + wanted.term,
    )
    judged = [(server, _objection(server, wanted, now)) for server in found]
    good = [server for server, objection in judged if objection is None]
    if not good:
        labels = {**wanted.labels, **new.labels()}
        if not found:
            return Step(Verb.CREATE, f"{wanted.slot} has no server", labels=labels)
        reasons = "; ".join(f"{server.name}: {objection}" for server, objection in judged)
        return Step(Verb.REPLACE, reasons, delete=tuple(found), labels=labels)
    keep = good[0]
    surplus = tuple(server for server in found if server is not keep)
    lease = Lease.parse(keep.labels)
    renewed = new.until if lease.until - now < wanted.term / 2 else None
    labels = {**keep.labels, **wanted.labels, **lease.with_changes(state=wanted.state, until=renewed).labels()}
    changes = [
        *(["its labels change"] if labels != dict(keep.labels) else []),
        *(["it is switched on"] if keep.status == OFF else []),
        *(f"{server.name} goes" for server in surplus),
    ]
    if not changes:
        return Step(Verb.KEEP, f"{keep.name} has a valid lease and the wanted fingerprint", keep, labels=labels)
    return Step(Verb.ADJUST, f"{keep.name} stays: {', '.join(changes)}", keep, surplus, labels)


def decide_absent(found: Sequence[Server], slot: str) -> Step:
    """Delete whatever stands in the slot."""
    if not found:
        return Step(Verb.KEEP, f"{slot} has no server")
    return Step(Verb.DELETE, f"{slot} shall have no server", delete=tuple(found))


def check(cloud: Cloud, step: Step, wanted: Wanted) -> None:
    """Refuse a server that the cloud could never make, before the one it is to replace is deleted.

    Raises:
        CloudError: the cloud lacks something that was named, or cannot be asked.
    """
    if step.verb in (Verb.CREATE, Verb.REPLACE):
        cloud.check(_specs(wanted, step.labels))


def carry_out(cloud: Cloud, step: Step, wanted: Wanted | None) -> Server | None:
    """Bring about what was decided and return the server that now stands in the slot.

    Raises:
        CloudError: what the cloud refused; everything before it is done, so that the next run goes on from there.
    """
    for server in step.delete:
        cloud.delete(server)
    if step.verb in (Verb.CREATE, Verb.REPLACE) and wanted is not None:
        return Acquirer(cloud).acquire(_specs(wanted, step.labels))
    if step.keep is None:
        return None
    server = cloud.start(step.keep) if step.keep.status == OFF else step.keep
    return server if dict(server.labels) == dict(step.labels) else cloud.relabel(server, step.labels)


def _specs(wanted: Wanted, labels: Mapping[str, str]) -> list[ServerSpec]:
    if not wanted.places:
        raise InvalidRequest("no offer is given: name at least one location and server type")
    return [
        ServerSpec(
            name=wanted.slot,
            place=place,
            image=wanted.image,
            labels=labels,
            ssh_keys=wanted.ssh_keys,
            firewalls=wanted.firewalls,
            user_data=wanted.user_data,
        )
        for place in wanted.places
    ]


def _objection(server: Server, wanted: Wanted, now: int) -> str | None:
    try:
        lease = Lease.parse(server.labels)
    except LeaseError as error:
        return str(error)
    if not lease.valid(now):
        return f"its lease ended {now - lease.until} s ago"
    if lease.fingerprint != wanted.fingerprint:
        return f"its fingerprint is {lease.fingerprint}, not {wanted.fingerprint}"
    return None
