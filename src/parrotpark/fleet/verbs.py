"""What people ask for: wake and sleep go on until the wish is fulfilled, keep and sweep take one step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parrotpark.cloud.errors import NameTaken, RateLimited, Transient
from parrotpark.fleet import decide
from parrotpark.fleet.actions import Action, Delete, MarkServing, Renew, Shortfall
from parrotpark.fleet.decide import Seen
from parrotpark.fleet.errors import NotReached
from parrotpark.fleet.keep import Keeper, Outcome, Trouble
from parrotpark.fleet.lock import locked
from parrotpark.shared.wish import Wish, WishError, read_wish, write_wish

POLL = 0.5  # seconds between two questions to the hosts
LOOK_AGAIN = 15.0  # seconds between two questions to the cloud while the hosts say nothing new
TEMPORARY = (Transient, RateLimited, NameTaken)  # errors after which it is worth going on
NO_ENDPOINT = "the hosts serve, but the models' stable endpoint does not answer yet"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a verb, or with `--check` would come of it."""

    actions: tuple[Action, ...]
    troubles: tuple[Trouble, ...] = ()
    wished: bool = False  # whether the wish has changed

    @property
    def changed(self) -> bool:
        """Whether there was more than upkeep."""
        return self.wished or any(not isinstance(action, Renew | Shortfall) for action in self.actions)


def plan(keeper: Keeper, wish: Wish) -> Report:
    """Say what one step would do.

    Raises:
        CloudError: the cloud cannot be asked, or could never create what is wanted.
        FleetError: the step would be refused.
    """
    actions = decide.decide(keeper.fleet, wish, keeper.look())
    keeper.check(actions)
    return Report(actions)


def plan_wish(keeper: Keeper, wish: Wish) -> Report:
    """Say what this wish would do; raises as `plan`."""
    try:
        wished = read_wish(keeper.fleet.wish_file) != wish
    except WishError:
        wished = True
    return Report(plan(keeper, wish).actions, wished=wished)


def plan_sweep(keeper: Keeper) -> Report:
    """Say what a sweep would do; raises as `plan`."""
    return Report(decide.sweep(keeper.fleet, keeper.look()))


def keep(keeper: Keeper) -> Report:
    """Take one step towards the wish.

    Raises:
        CloudError: the cloud cannot be asked.
        FleetError: there is no wish, or the project is not the GPU hosts' own.
        OSError: a file of ours cannot be written.
    """
    with locked(_lock(keeper), lambda: _waiting(keeper)):
        try:
            wish = read_wish(keeper.fleet.wish_file)
        except WishError:
            keeper.sweep()  # without a wish nothing is created, but nothing bills alone either
            raise
        try:
            wish.fitting(len(keeper.fleet.slots))
        except WishError as error:
            keeper.progress.say(f"{error}; all are used")
        outcome = keeper.keep(wish)
    return Report(outcome.done, outcome.troubles)


def sweep(keeper: Keeper) -> Report:
    """Delete what has no valid lease; raises as `keep`."""
    with locked(_lock(keeper), lambda: _waiting(keeper)):
        outcome = keeper.sweep()
    return Report(outcome.done, outcome.troubles)


def fulfil(keeper: Keeper, wish: Wish) -> Report:
    """Write the wish, and go on until it is fulfilled, by a last look at the provider's list.

    Raises:
        CloudError: the cloud refuses what only a person can change.
        NotReached: there was no progress for `ready_seconds`, or somebody has changed the wish meanwhile.
        FleetError, OSError: as `keep`.
    """
    verb = "sleep" if wish.hosts == 0 else "wake"
    keeper.progress.say(f"the wish is {wish.render()}", verb)
    wished = write_wish(keeper.fleet.wish_file, wish)
    keeper.forget_losses()  # a person asks: whatever was wrong may be fixed
    done: list[Action] = []
    patience = _Patience(keeper)
    while True:
        patience.check()
        try:
            outcome = _step(keeper, wish)
        except TEMPORARY as error:
            patience.wait_for(str(error))
            keeper.clock.sleep(LOOK_AGAIN)
            continue
        done += outcome.done
        if any(isinstance(action, Delete | MarkServing) for action in outcome.done):
            patience.renew()
        if not outcome.done:
            missing = _missing(keeper, wish, outcome)
            if missing is None:
                break
            patience.wait_for(missing, "" if outcome.troubles else "ready")
            _wait(keeper, outcome.seen, for_endpoint=missing == NO_ENDPOINT)
    report = Report(tuple(done), wished=wished)
    if report.changed:
        keeper.progress.took(verb, keeper.progress.elapsed)
    return report


class _Patience:
    """Says what is waited for, and how long that is worthwhile: `ready_seconds`, again with every host that is done.

    A drain may take longer than that by itself.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._missing = "the cloud takes its time"
        self.renew()

    def renew(self) -> None:
        self._end = self._keeper.clock.now() + self._keeper.fleet.ready_seconds

    def wait_for(self, missing: str, step: str = "") -> None:
        if missing != self._missing:
            self._keeper.progress.say(missing, step)
            self._missing = missing

    def check(self) -> None:
        """Raises `NotReached` when none is left: before a host that does not serve in time is created again."""
        if self._keeper.clock.now() >= self._end:
            seconds = self._keeper.progress.elapsed
            raise NotReached(
                f"given up after {seconds:.0f} s: {self._missing} (the wish stays, and the timer goes on trying)"
            )


def _step(keeper: Keeper, wish: Wish) -> Outcome:
    """Take one step, and refuse to go on where only a person can help."""
    with locked(_lock(keeper), lambda: _waiting(keeper)):
        now = read_wish(keeper.fleet.wish_file)
        if now != wish:
            raise NotReached(f"the wish is {now.render()} now: somebody has changed it meanwhile")
        outcome = keeper.keep(wish)
    for trouble in outcome.troubles:
        if not isinstance(trouble.error, TEMPORARY):
            raise type(trouble.error)(str(trouble))
    return outcome


def _missing(keeper: Keeper, wish: Wish, outcome: Outcome) -> str | None:
    """Say why the wish is not fulfilled, after a step in which nothing was done."""
    if outcome.troubles:
        return str(outcome.troubles[0])
    hosts = decide.standing(keeper.fleet, outcome.seen)
    if silent := [host.slot.name for host in hosts if not host.serves()]:
        return f"{', '.join(silent)}: the models do not answer yet"
    if outcome.seen.silent and (wish.hosts == 0 or outcome.seen.hidden):
        return "; ".join(f"cloud {name} cannot be asked: {error}" for name, error in outcome.seen.silent.items())
    if hosts and not keeper.endpoint_ready():
        return NO_ENDPOINT
    return None


def _wait(keeper: Keeper, seen: Seen, *, for_endpoint: bool) -> None:
    """Wait until the hosts say something new, or it is time to ask the cloud again."""
    end = keeper.clock.now() + LOOK_AGAIN
    while keeper.clock.now() < end:
        keeper.clock.sleep(POLL)
        if keeper.ready(seen.servers) != seen.ready or (for_endpoint and keeper.endpoint_ready()):
            return


def _lock(keeper: Keeper) -> Path:
    return keeper.fleet.leases_dir.parent / "keep.lock"


def _waiting(keeper: Keeper) -> None:
    keeper.progress.say("another run is working: waiting for it")
