"""Carry out what was decided; whatever interrupts it, the next run goes on from what is there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from parrotpark.cloud import Cloud, Image, Leftover, Server, ServerSpec, SeveralClouds
from parrotpark.cloud.acquire import Acquirer, Attempt, table
from parrotpark.cloud.errors import AuthFailed, CloudError, NotFound, OutOfCapacity, QuotaExceeded, Transient
from parrotpark.fleet import attempts, boot, decide, health
from parrotpark.fleet.actions import Action, Create, Delete, MarkServing, MarkSilent, Remove, Renew, Shortfall, Sweep
from parrotpark.fleet.attempts import Attempts
from parrotpark.fleet.bill import Bills, known_prices, warning
from parrotpark.fleet.config import Fleet
from parrotpark.fleet.decide import Host, Seen
from parrotpark.fleet.drain import Gate, drain
from parrotpark.fleet.errors import FleetError, GateError, NotMade
from parrotpark.fleet.leases import Leases
from parrotpark.fleet.losses import Losses
from parrotpark.fleet.whereabouts import Whereabout, Whereabouts, hidden
from parrotpark.golden import images
from parrotpark.shared import lease as label
from parrotpark.shared.clock import Clock
from parrotpark.shared.lease import Lease, State
from parrotpark.shared.progress import Progress
from parrotpark.shared.slot_document import NO_LEASE, SlotDocument
from parrotpark.shared.wish import Wish

PATIENCE = 60  # seconds for models that stopped answering, or as long as they usually take to start if that is more

type Probe = Callable[[Iterable[str], Sequence[int]], Collection[str]]  # as `health.ready`
type Ask = Callable[[Iterable[str], int], Mapping[str, str]]  # as `health.complaints`


@dataclass(frozen=True, slots=True)
class Trouble:
    """An action that failed, and why."""

    action: Action
    error: CloudError | FleetError

    def __str__(self) -> str:
        return str(self.error) if isinstance(self.error, NotMade) else f"{self.action}: {self.error}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step saw, did, and could not do."""

    seen: Seen
    done: tuple[Action, ...]
    troubles: tuple[Trouble, ...]


class Keeper:
    """Brings the fleet closer to a wish, step by step."""

    def __init__(
        self,
        fleet: Fleet,
        clouds: Iterable[Cloud],
        clock: Clock,
        gate: Gate,
        probe: Probe,
        progress: Progress,
        ask: Ask = health.complaints,
    ) -> None:
        self.fleet = fleet
        self.clock = clock
        self.progress = progress
        self._clouds = tuple(clouds)
        self._cloud = SeveralClouds(self._clouds)
        self._gate = gate
        self._probe = probe
        self._ask = ask
        self._leases = Leases(fleet.leases_dir)
        self._losses = Losses(fleet.state_dir / "losses.json")
        self._attempts = Attempts(fleet.state_dir / "attempts.json")
        self._bills = Bills(fleet.bill_file)
        self._whereabouts = Whereabouts(fleet.state_dir / "whereabouts.json")

    def look(self) -> Seen:
        """See what is there; a cloud that cannot be asked does not hold up the others.

        Raises:
            CloudError: no cloud can be asked.
        """
        servers: list[Server] = []
        golden: list[Image] = []
        leftovers: list[Leftover] = []
        silent: dict[str, CloudError] = {}
        for cloud in self._clouds:
            try:
                found = cloud.servers({}), images.find(cloud), cloud.leftovers()
            except CloudError as error:
                silent[cloud.name] = error
            else:
                servers += found[0]
                golden += found[1]
                leftovers += found[2]
        if len(silent) == len(self._clouds):
            raise next(iter(silent.values()))
        ready = self.ready(servers)
        now = int(self.clock.now())
        return Seen(
            now=now,
            servers=tuple(servers),
            images=tuple(golden),
            leftovers=tuple(leftovers),
            ready=ready,
            losses=self._losses.read(),
            patience=max(PATIENCE, int(self.progress.usual("ready") or 0)),
            silent={name: str(error) for name, error in silent.items()},
            hidden=hidden(self._whereabouts.read(), silent, now),
            attempts=self._attempts.read(),
            spent=self._bills.read(now).euros,
            ill=self._ill(servers, ready),
        )

    def _held(self, servers: Iterable[Server]) -> list[SlotDocument]:
        held = {server.labels.get(label.SLOT) for server in servers}
        return [slot for slot in self.fleet.slots if slot.name in held]

    def _ill(self, servers: Iterable[Server], ready: Collection[str]) -> dict[str, str]:
        """Ask those of the servers in which not all models answer whether that is the fault of their cards."""
        if not self.fleet.cards_port:
            return {}
        names = {slot.address: slot.name for slot in self._held(servers) if slot.name not in ready}
        return {names[address]: words for address, words in self._ask(names, self.fleet.cards_port).items()}

    def ready(self, servers: Iterable[Server]) -> frozenset[str]:
        """Name those of the servers' slots in which all models answer."""
        slots = self._held(servers)
        answering = self._probe([slot.address for slot in slots], self.fleet.ports)
        return frozenset(slot.name for slot in slots if slot.address in answering)

    def forget_losses(self) -> None:
        """Let the next host be created at once and anywhere, whatever happened to others; raises `OSError`."""
        self._losses.forget()
        self._attempts.forget()

    def endpoint_ready(self) -> bool:
        """Say whether all models answer where people's requests go."""
        return bool(self._probe([self.fleet.endpoint_address], self.fleet.ports))

    def check(self, actions: Iterable[Action]) -> None:
        """Refuse a server that the cloud could never make.

        Raises:
            CloudError: the cloud lacks something that was named, or cannot be asked.
        """
        create = next((action for action in actions if isinstance(action, Create)), None)
        if create:  # one is enough: they differ only by slot
            self._cloud.check(self._specs(create.slot, create.images))

    def keep(self, wish: Wish) -> Outcome:
        """See, decide, and do.

        Raises:
            CloudError: the cloud cannot be asked.
            WrongProject: the token opens a project that holds other servers of ours.
            OSError: the leases cannot be written.
        """
        seen = self._reckoned(self.look())
        for name, error in seen.silent.items():
            self.progress.say(f"cloud {name} cannot be asked: {error}")
        if soon := warning(seen.spent, self.fleet.monthly_cap):
            self.progress.say(soon)
        actions = decide.decide(self.fleet, wish, seen)
        hosts = decide.standing(self.fleet, seen)
        self._publish(seen, hosts)
        self._remember(seen, hosts)
        return self._carry_out(seen, actions)

    def sweep(self) -> Outcome:
        """Delete what has no valid lease, and what no server uses; raises as `keep`."""
        seen = self._reckoned(self.look())
        return self._carry_out(seen, decide.sweep(self.fleet, seen))

    def _carry_out(self, seen: Seen, actions: Sequence[Action]) -> Outcome:
        done: list[Action] = []
        troubles: list[Trouble] = []
        closed: set[str | None] = set()  # clouds that refuse our credential
        to_drain = [action for action in actions if isinstance(action, Delete)]
        end = self.clock.now() + self.fleet.lease_seconds / 2
        self._open_gate()  # a run that was killed while draining may have left it closed
        try:
            for action in actions:
                if self.clock.now() > end and isinstance(action, Delete | Create):
                    break  # other leases must be renewed by now: the next step does that, and goes on from here
                if _place(action) in closed:
                    continue  # it would fail in the same way
                if to_drain and isinstance(action, Delete):
                    self._drain(to_drain)
                    to_drain = []
                try:
                    self._do(action)
                    done.append(action)
                except (CloudError, FleetError) as error:
                    troubles.append(Trouble(action, error))
                    if isinstance(error, AuthFailed):
                        closed.add(_place(action))
        finally:
            self._open_gate()
            if loss := decide.loss_of(done, seen.now):
                self._losses.add(loss)
                self._attempts.add(_lost(done, seen.now))
        return Outcome(seen, tuple(done), tuple(troubles))

    def _publish(self, seen: Seen, hosts: Sequence[Host]) -> None:
        """Tell the hosts the ends of their leases, and the boxes that have none that it is so.

        One that is about to go hears of that by the next step, when its answers have ended.
        """
        ends = {host.slot.name: host.lease.until for host in hosts}
        unleased = self.fleet.boxed - ends.keys() - seen.hidden
        self._leases.sync(ends | dict.fromkeys(unleased, NO_LEASE), keep=seen.hidden)

    def _reckoned(self, seen: Seen) -> Seen:
        """Add to the bill what the servers have cost since the last step.

        A server that is gone was paid for up to the last step that saw it, at most half a minute less than it cost.
        """
        bill = self._bills.read(seen.now)
        offers = {*self.fleet.offers, *(server.offer for server in seen.servers)}
        prices = known_prices(bill, offers, self.fleet.prices)
        for offer in offers - prices.keys():
            with suppress(CloudError):  # it is asked again in the next step
                if (price := self._cloud.price(offer)) is not None:
                    prices[offer] = price
        bill = bill.with_hours(seen.servers, prices, seen.now)
        self._bills.write(bill)
        return replace(seen, spent=bill.euros)

    def _remember(self, seen: Seen, hosts: Iterable[Host]) -> None:
        """Write down in which cloud each slot has its server, for when that cloud does not answer."""
        known = {slot: place for slot, place in self._whereabouts.read().items() if slot in seen.hidden}
        seen_now = {host.slot.name: Whereabout((host.server.cloud,), host.lease.until) for host in hosts}
        self._whereabouts.write(known | seen_now)

    def _specs(self, slot: SlotDocument, golden: Sequence[Image]) -> list[ServerSpec]:
        now = int(self.clock.now())
        bootable = {image.cloud for image in golden}
        offered = [offer for offer in self.fleet.offers_for(slot.name) if offer.cloud in bootable]
        if self.fleet.monthly_cap is not None:
            prices = known_prices(self._bills.read(now), offered, self.fleet.prices)
            if not (priced := [offer for offer in offered if offer in prices]):
                names = ", ".join(map(str, offered))
                raise NotMade(f"nobody knows what {names} costs, and there is a cap: set `price` of the offer")
            offered = priced
        offers = attempts.awake(offered, self._attempts.read(), now)
        return boot.specs(self.fleet, slot, golden, offers, now)

    def _do(self, action: Action) -> None:
        match action:
            case Renew(server, until):
                self.progress.say(str(action))
                self._relabel(server, Lease.parse(server.labels).with_changes(until=until))
            case MarkServing(server, until):
                lease = Lease.parse(server.labels)
                self.progress.say(str(action))
                if lease.state is State.WAKING:  # its first lease began when the cloud was asked for it
                    self.progress.took("ready", self.fleet.ready_seconds - (lease.until - self.clock.now()))
                self._relabel(server, lease.with_changes(state=State.SERVING, until=until))
                self._losses.served()
            case MarkSilent(server, until):
                self.progress.say(str(action))
                self._relabel(server, Lease.parse(server.labels).with_changes(state=State.SILENT, until=until))
            case Delete(server) | Sweep(server):
                with self.progress.step("delete", str(action)):
                    self._cloud.delete(server)
            case Remove(leftover):
                self.progress.say(str(action))
                self._cloud.delete_leftover(leftover)
            case Create():
                with self.progress.step("create", str(action)):
                    self._create(action)
            case Shortfall():
                raise NotMade(str(action))

    def _relabel(self, server: Server, lease: Lease) -> None:
        try:
            self._cloud.relabel(server, {**server.labels, **lease.labels()})
        except NotFound as error:
            raise Transient("somebody has deleted the server meanwhile: looking again") from error
        self._leases.write(lease.slot, lease.until)

    def _create(self, action: Create) -> None:
        refusals: list[CloudError] = []
        for slot in (action.slot, *action.instead):
            if refusals:
                self.progress.say(f"{slot.name}: create there, as none can be had for {action.slot.name}")
            try:
                return self._create_in(slot, action.images)
            except (OutOfCapacity, QuotaExceeded) as error:
                refusals.append(error)
        raise refusals[0] if len(refusals) == 1 else OutOfCapacity("; ".join(map(str, refusals)))

    def _create_in(self, slot: SlotDocument, golden: Sequence[Image]) -> None:
        acquirer = Acquirer(self._cloud, self.clock)
        specs = self._specs(slot, golden)
        clouds = tuple(sorted({spec.offer.cloud for spec in specs}))
        until = int(self.clock.now()) + self.fleet.ready_seconds
        self._whereabouts.write(self._whereabouts.read() | {slot.name: Whereabout(clouds, until)})
        try:
            server = acquirer.acquire(specs)
        finally:
            self._attempts.add(acquirer.attempts)
            if len(acquirer.attempts) > 1:
                self.progress.say(f"{slot.name}: what was tried:\n{table(acquirer.attempts)}")
        # A server that was made knows the end from its slot document; a box hears of it here, within seconds.
        self._leases.write(slot.name, Lease.parse(server.labels).until)

    def _drain(self, deletes: Sequence[Delete]) -> None:
        """Let running answers finish. It is a courtesy: if it cannot be done, the servers are deleted all the same."""
        names = ", ".join(action.slot.name for action in deletes)
        try:
            with self.progress.step("drain", f"{names}: let running answers finish"):
                left = drain(
                    self._gate, self.clock, {action.slot.address for action in deletes}, self.fleet.drain_seconds
                )
        except GateError as error:
            self.progress.say(f"{names}: {error}")
            return
        if left:
            self.progress.say(f"{names}: {left} connections are cut after {self.fleet.drain_seconds} s")

    def _open_gate(self) -> None:
        # If the packet filter cannot be changed, nothing can have been closed either.
        with suppress(GateError):
            self._gate.close(())


def _place(action: Action) -> str | None:
    """Name the cloud that the action changes; None for a server that is yet to be made, in one of several."""
    match action:
        case Create() | Shortfall():
            return None
        case Remove(leftover):
            return leftover.cloud
        case Renew() | MarkServing() | MarkSilent() | Delete() | Sweep():
            return action.server.cloud


def _lost(done: Iterable[Action], now: int) -> list[Attempt]:
    """Let offers rest whose hosts were lost, as if they could not be had."""
    lost = (action for action in done if isinstance(action, Sweep) and action.lost)
    return [Attempt(action.server.offer, f"lost: {action.reason}", 0, now, refused=True) for action in lost]
