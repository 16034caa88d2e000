"""What there is, in a few lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from parrotpark.cloud import Image
from parrotpark.fleet import decide
from parrotpark.fleet.bill import capped, warning
from parrotpark.fleet.config import Fleet
from parrotpark.fleet.decide import Seen
from parrotpark.fleet.losses import next_try
from parrotpark.golden import images
from parrotpark.shared.wish import ASLEEP, Wish


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """What is in a slot; None where there is nothing."""

    slot: str
    server: str | None
    place: str | None
    state: str | None
    ready: bool
    lease_left: int | None  # seconds

    def __str__(self) -> str:
        if self.server is None:
            return f"{self.slot}: empty"
        answers = "its models answer" if self.ready else "its models do not answer"
        return f"{self.slot}: {self.state}, {answers}; {self.place}; the lease lasts {self.lease_left} s more"


@dataclass(frozen=True, slots=True)
class Status:
    """Wish, golden image and slots."""

    wish: str
    image: str
    image_current: bool
    pause: str | None  # why no host is created now, and when the next one will be
    slots: tuple[SlotStatus, ...]
    others: tuple[str, ...]  # servers of the projects that are in no slot
    bill: str
    silent: tuple[str, ...]  # clouds that cannot be asked, and why
    attempts: tuple[str, ...]  # what was tried to create hosts, if some of it failed

    def lines(self) -> list[str]:
        """Write it for people."""
        pause = [self.pause] if self.pause else []
        others = [f"{name}: in no slot" for name in self.others]
        tried = ["tried of late, oldest first:", *(f"  {line}" for line in self.attempts)] if self.attempts else []
        return [f"{self.wish}; {self.image}", *self.silent, *pause, *map(str, self.slots), *others, self.bill, *tried]

    def to_dict(self) -> dict[str, object]:
        """Write it for programs."""
        return asdict(self)


def status(fleet: Fleet, wish: Wish, seen: Seen) -> Status:
    """Describe what is seen."""
    hosts = {host.slot.name: host for host in decide.standing(fleet, seen)}
    current = images.current_by_cloud(seen.images, fleet.fingerprint)
    without = [cloud.name for cloud in fleet.clouds if cloud.name not in current]
    in_slots = {host.server.key for host in hosts.values()}
    return Status(
        wish=wish.render(),
        image=_image(current, without, seen),
        image_current=bool(current),
        pause=_pause(wish, seen),
        slots=tuple(
            SlotStatus(
                slot=slot.name,
                server=host.server.name,
                place=str(host.server.offer),
                state=host.lease.state.value,
                ready=host.ready,
                lease_left=host.lease.until - seen.now,
            )
            if (host := hosts.get(slot.name))
            else SlotStatus(slot.name, None, None, None, ready=False, lease_left=None)
            for slot in fleet.slots
        ),
        bill=_bill(fleet, seen),
        silent=tuple(f"cloud {name} cannot be asked: {error}" for name, error in seen.silent.items()),
        attempts=tuple(map(str, seen.attempts)) if any(attempt.refused for attempt in seen.attempts) else (),
        others=tuple(server.name for server in seen.servers if server.key not in in_slots),
    )


def _pause(wish: Wish, seen: Seen) -> str | None:
    at = next_try(seen.losses)
    return decide.pause(seen.losses, at) if at > seen.now and wish != ASLEEP else None


def _bill(fleet: Fleet, seen: Seen) -> str:
    cap = f" of EUR {fleet.monthly_cap:.2f}" if fleet.monthly_cap is not None else ""
    said = capped(seen.spent, fleet.monthly_cap) or warning(seen.spent, fleet.monthly_cap)
    return f"about EUR {seen.spent:.2f}{cap} spent on GPU hosts this month{f'; {said}' if said else ''}"


def _image(current: Mapping[str, Image], without: Sequence[str], seen: Seen) -> str:
    if not without:
        return "image current"
    if current:
        return f"image current, but none at {', '.join(without)}: make wake on the control machine bakes it there"
    return "image stale: run make wake on the control machine" if seen.images else "no image yet"
