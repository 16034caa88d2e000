"""The heart: from the wish and the provider's list it follows what has to happen now. Nothing here has an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from parrotpark.cloud import OFF, Image, Leftover, Offer, Server
from parrotpark.cloud.acquire import Attempt
from parrotpark.fleet.actions import Action, Create, Delete, MarkServing, MarkSilent, Remove, Renew, Shortfall, Sweep
from parrotpark.fleet.attempts import resting
from parrotpark.fleet.bill import capped
from parrotpark.fleet.config import Fleet
from parrotpark.fleet.errors import WrongProject
from parrotpark.fleet.losses import Loss, next_try
from parrotpark.golden import images
from parrotpark.shared import lease as label
from parrotpark.shared.lease import GPU, Lease, LeaseError, State
from parrotpark.shared.slot_document import LONGEST_LEASE, SlotDocument
from parrotpark.shared.wish import Wish

FRESH = 600  # seconds; an address that is younger may belong to a server that the cloud is about to make
SPARE = 120  # seconds that the lease of a silent host outlasts our patience, so that it never decides the host's end


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there at one moment."""

    now: int  # epoch seconds
    servers: Sequence[Server]  # all of the project
    images: Sequence[Image]  # golden ones, newest first
    leftovers: Sequence[Leftover]
    ready: frozenset[str]  # names of the slots in which all models answer
    losses: Sequence[Loss]  # oldest first
    patience: int  # seconds for a host that stopped answering to come back by itself
    silent: Mapping[str, str] = field(default_factory=dict)  # clouds that cannot be asked, and why
    hidden: frozenset[str] = frozenset()  # names of the slots whose server may live in one of those
    attempts: Sequence[Attempt] = ()  # to create hosts, oldest first
    spent: float = 0.0  # euros of this month, without VAT
    ill: Mapping[str, str] = field(default_factory=dict)  # names of the slots whose cards may not serve, and why


@dataclass(frozen=True, slots=True)
class Host:
    """A server with a valid lease in one of our slots."""

    slot: SlotDocument
    server: Server
    lease: Lease
    ready: bool

    def serves(self) -> bool:
        return self.lease.state is State.SERVING and self.ready


def decide(fleet: Fleet, wish: Wish, seen: Seen) -> tuple[Action, ...]:
    """Say what brings the fleet closer to the wish, in the order in which to do it.

    What cannot wait comes first: leases are renewed before anything that may take minutes.

    Raises:
        WrongProject: the token opens a project that holds other servers of ours.
    """
    swept = _unleased(fleet, seen)
    hosts, spare = _pick(_hosts(fleet, seen))
    swept += tuple(Sweep(host.server, f"{host.slot.name} has another server already") for host in spare)
    lost = tuple(Sweep(host.server, reason, lost=True) for host in hosts if (reason := _loss(host, seen)))
    swept += lost
    alive = [host for host in hosts if host.server not in [action.server for action in lost]]

    # There are never more than slots.
    wished = fleet.hosts if wish.hosts is None else min(wish.hosts, len(fleet.slots))
    over = capped(seen.spent, fleet.monthly_cap)
    number = 0 if over else wished
    # A host that does not serve yet is missed least, then the one in the slot that we like least.
    order = sorted(alive, key=lambda host: (not host.serves(), fleet.rank(host.slot)))
    wanted, surplus = order[:number], order[number:]
    current = _bootable(fleet, seen)
    stale = _replaceable(fleet, wanted, number) if current else []
    kept = [host for host in wanted if host not in stale]
    lacking = max(0, number - len(kept) - len(seen.hidden))
    free = _free(fleet, seen, kept, [action.server.offer for action in swept if action.lost])
    return (
        *_upkeep(fleet, seen, kept),
        *swept,
        *_removals(seen),
        *(Delete(host.server, host.slot, over or "it is not wished for") for host in reversed(surplus)),
        *(Delete(host.server, host.slot, "it is not of the current image") for host in stale),
        *(Shortfall(slot, over) for slot in fleet.slots[:wished] if over),
        *_creations(fleet, seen, free[:lacking], free[lacking:], loss_of(swept, seen.now)),
    )


def sweep(fleet: Fleet, seen: Seen) -> tuple[Action, ...]:
    """Say what has to go whatever the wish: servers without a valid lease or slot, and what no server uses.

    Raises:
        WrongProject: the token opens a project that holds other servers of ours.
    """
    return (*_unleased(fleet, seen), *_removals(seen))


def loss_of(swept: Sequence[Action], now: int) -> Loss | None:
    """Describe the loss of these servers: one loss, as several hosts that end at once have one cause."""
    lost = [action for action in swept if isinstance(action, Sweep) and action.lost]
    served = all(action.server.labels[label.STATE] != State.WAKING for action in lost)
    return Loss(now, served, lost[0].reason) if lost else None


def standing(fleet: Fleet, seen: Seen) -> list[Host]:
    """List the one host of every slot that has one."""
    return _pick(_hosts(fleet, seen))[0]


def refuse_others(servers: Sequence[Server]) -> None:
    """Touch nothing where anything but GPU hosts lives.

    Raises:
        WrongProject: a server has another role.
    """
    for server in servers:
        role = server.labels.get(label.ROLE)
        if role not in (None, GPU):
            raise WrongProject(
                f"cloud {server.cloud} is the project of {server.name}, whose role is {role}: "
                "give the GPU hosts a project of their own; nothing is touched"
            )


def _unleased(fleet: Fleet, seen: Seen) -> tuple[Sweep, ...]:
    refuse_others(seen.servers)
    judged = ((server, _objection(fleet, server, seen.now)) for server in seen.servers)
    return tuple(Sweep(server, objection, _is_late(server, seen.now)) for server, objection in judged if objection)


def _removals(seen: Seen) -> tuple[Remove, ...]:
    return tuple(Remove(leftover) for leftover in seen.leftovers if seen.now - leftover.created > FRESH)


def _objection(fleet: Fleet, server: Server, now: int) -> str | None:
    """Say why the server may not live."""
    try:
        lease = Lease.parse(server.labels)
    except LeaseError as error:
        return str(error)
    if not lease.valid(now):
        if lease.state is State.WAKING:
            return f"it did not serve within {fleet.ready_seconds} s"
        return f"its lease ended {now - lease.until} s ago"
    if lease.state is State.BAKING:
        return "its lease ends more than a day from now" if lease.until - now > LONGEST_LEASE else None
    if lease.slot not in {slot.name for slot in fleet.slots}:
        return f"there is no slot {lease.slot}"
    return None


def _is_late(server: Server, now: int) -> bool:
    """Say whether it is a host that should have served by now."""
    with suppress(LeaseError):
        lease = Lease.parse(server.labels)
        return lease.state is State.WAKING and not lease.valid(now)
    return False


def _hosts(fleet: Fleet, seen: Seen) -> list[Host]:
    slots = {slot.name: slot for slot in fleet.slots}
    leased = [server for server in seen.servers if _objection(fleet, server, seen.now) is None]
    leases = [(server, Lease.parse(server.labels)) for server in leased]
    return [
        Host(slots[lease.slot], server, lease, lease.slot in seen.ready)
        for server, lease in leases
        if lease.state is not State.BAKING
    ]


def _loss(host: Host, seen: Seen) -> str | None:
    """Say why a host is lost."""
    if host.lease.state is State.SERVING and host.server.status == OFF:
        return "it is switched off"
    if host.lease.state is not State.SERVING and not host.ready and host.slot.name in seen.ill:
        return f"its cards may not serve: {seen.ill[host.slot.name]}"
    if host.lease.state is State.SILENT and not host.ready and host.lease.until - seen.now <= SPARE:
        return "its models stopped answering"
    return None


def _pick(hosts: Sequence[Host]) -> tuple[list[Host], list[Host]]:
    """Split the hosts into one for every slot and the surplus: a serving one stays before others, then the oldest."""
    picked: dict[str, Host] = {}
    for host in sorted(hosts, key=_seniority):
        picked.setdefault(host.slot.name, host)
    return list(picked.values()), [host for host in hosts if picked[host.slot.name] is not host]


def _seniority(host: Host) -> tuple[bool, int, int, str]:
    # Where ids are numbers, they grow: a shorter one is older.
    server = host.server
    return host.lease.state is not State.SERVING, server.created, len(server.id), server.id


def _replaceable(fleet: Fleet, wanted: Sequence[Host], number: int) -> list[Host]:
    """List the hosts of another fingerprint that can go now: those that do not serve, and of the others one at a time.

    One goes only while all others serve, so that where there is more than one, somebody always answers.
    """
    stale = [host for host in wanted if host.lease.fingerprint != fleet.fingerprint]
    idle = [host for host in stale if not host.serves()]
    whole = len(wanted) == number and all(host.serves() for host in wanted)
    return idle or (stale[:1] if whole else [])


def _upkeep(fleet: Fleet, seen: Seen, hosts: Sequence[Host]) -> list[Action]:
    actions: list[Action] = []
    for host in hosts:
        left, serving = host.lease.until - seen.now, host.lease.state is State.SERVING
        # A lease that is too long, from another configuration, is cut: it would outlive a host that is lost.
        if host.ready and not serving:
            actions.append(MarkServing(host.server, seen.now + fleet.lease_seconds))
        elif host.ready and (left > fleet.lease_seconds or left * 3 < fleet.lease_seconds * 2):
            actions.append(Renew(host.server, seen.now + fleet.lease_seconds))
        elif host.lease.state is State.WAKING and left > fleet.ready_seconds:
            actions.append(Renew(host.server, seen.now + fleet.ready_seconds))
        elif not host.ready and (serving or (host.lease.state is State.SILENT and left > seen.patience + SPARE)):
            actions.append(MarkSilent(host.server, seen.now + seen.patience + SPARE))
    return actions


def _bootable(fleet: Fleet, seen: Seen) -> tuple[Image, ...]:
    """List the current image of every cloud in which a host may be created."""
    offered = {offer.cloud for offer in fleet.offers}
    found = images.current_by_cloud(seen.images, fleet.fingerprint)
    return tuple(image for cloud, image in found.items() if cloud in offered)


def _free(fleet: Fleet, seen: Seen, kept: Sequence[Host], lost: Sequence[Offer]) -> list[SlotDocument]:
    """List the slots in which a server can be made once everything that has to go is gone, the best first.

    Last are those for which nothing can be had now, or where a host was lost.
    """
    taken = {host.slot.name for host in kept} | seen.hidden
    asleep = resting(seen.attempts, seen.now) | {*lost}

    def key(slot: SlotDocument) -> tuple[bool, bool, tuple[int, int]]:
        return not _images_for(fleet, seen, slot), asleep.issuperset(fleet.offers_for(slot.name)), fleet.rank(slot)

    return sorted((slot for slot in fleet.slots if slot.name not in taken), key=key)


def _images_for(fleet: Fleet, seen: Seen, slot: SlotDocument) -> tuple[Image, ...]:
    """List the current image of every cloud in which a server for the slot may be made."""
    clouds = {offer.cloud for offer in fleet.offers_for(slot.name)}
    return tuple(image for image in _bootable(fleet, seen) if image.cloud in clouds)


def _creations(
    fleet: Fleet, seen: Seen, slots: Sequence[SlotDocument], others: Sequence[SlotDocument], lost_now: Loss | None
) -> list[Action]:
    losses = (*seen.losses, lost_now) if lost_now else seen.losses
    if (at := next_try(losses)) > seen.now:
        return [Shortfall(slot, pause(losses, at)) for slot in slots]
    return [action for slot in slots if (action := _creation(fleet, seen, slot, others))]


def _creation(fleet: Fleet, seen: Seen, slot: SlotDocument, others: Sequence[SlotDocument]) -> Action | None:
    if _images_for(fleet, seen, slot):
        # The first slot of each further set of offers: where one has the same, it could not be had there either.
        best = {fleet.offers_for(other.name): other for other in reversed(others) if _images_for(fleet, seen, other)}
        instead = [other for other in others if best.get(fleet.offers_for(other.name)) is other]
        mine = fleet.offers_for(slot.name)
        return Create(
            slot, _bootable(fleet, seen), tuple(other for other in instead if fleet.offers_for(other.name) != mine)
        )
    if any(_bakes(fleet, server, seen.now) for server in seen.servers):
        return None  # there will be one soon
    why = (
        f"the newest carries {seen.images[0].labels.get(label.FINGERPRINT)}" if seen.images else "there is none at all"
    )
    reason = f"no golden image carries the fingerprint {fleet.fingerprint}, {why}: run make wake on the control machine"
    return Shortfall(slot, reason)


def _bakes(fleet: Fleet, server: Server, now: int) -> bool:
    """Say whether a golden image is being made of the server."""
    return _objection(fleet, server, now) is None and Lease.parse(server.labels).state is State.BAKING


def pause(losses: Sequence[Loss], until: int) -> str:
    """Tell people why no host is created before `until`."""
    at = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"no new host before {at}, as the last one was lost: {losses[-1].reason}; parrotpark wake tries at once"
