"""Get a server where one can be had: offers in their order, patience with passing trouble, and a record of each try."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parrotpark.cloud import Cloud, Offer, Server, ServerSpec
from parrotpark.cloud.errors import (
    CloudError,
    InvalidRequest,
    NameTaken,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
)
from parrotpark.shared import lease as label
from parrotpark.shared.clock import Clock, SystemClock
from parrotpark.shared.lease import Lease, LeaseError

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds between the attempts at one offer, each times a random 0.5 to 1.5
RETRY_SECONDS = 60.0  # an attempt that fails later than this is the last one, as the leases of other servers run on


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call for a server, and what came of it."""

    offer: Offer
    outcome: str
    seconds: float
    at: int = 0  # epoch seconds of its beginning
    refused: bool = False  # for want of capacity or quota, which the next minutes will not change

    def __str__(self) -> str:
        return f"{self.offer}  {self.seconds:.1f} s  {self.outcome}"


def table(attempts: Sequence[Attempt]) -> str:
    """Write the attempts as text, one per line."""
    width = max((len(str(entry.offer)) for entry in attempts), default=0)
    return "\n".join(f"{entry.offer!s:{width}}  {entry.seconds:6.1f} s  {entry.outcome}" for entry in attempts)


class Acquirer:
    """Makes servers, and remembers what was tried."""

    def __init__(
        self, cloud: Cloud, clock: Clock | None = None, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._cloud = cloud
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self.attempts: list[Attempt] = []

    def acquire(self, specs: Sequence[ServerSpec]) -> Server:
        """Create the first of the servers that can be had, or adopt the one that another run has just made.

        The specs, at least one, describe the same server at different offers, with the same name and labels: so if an
        attempt makes a server but its answer is lost, the next attempt finds that server.

        Raises:
            InvalidRequest: the cloud does not have what a spec names.
            CloudError: the last refusal, with those before it, if no offer can be had; any other error as it came.
        """
        refusals: list[CloudError] = []
        for spec in specs:
            try:
                return self._create_with_retries(spec)
            except (OutOfCapacity, QuotaExceeded) as error:
                refusals.append(type(error)(f"{spec.offer}: {error}"))
            except NameTaken:
                if server := self._made_by_another_run(spec):
                    return server
                raise
            except (InvalidRequest, NotFound):
                # The check says which name is wrong, and which ones the cloud knows.
                self._cloud.check(specs)
                raise
        raise type(refusals[-1])(f"no offer can be had now: {'; '.join(map(str, refusals))}")

    def _create_with_retries(self, spec: ServerSpec) -> Server:
        end = self._clock.now() + RETRY_SECONDS
        for pause in PAUSES:
            try:
                return self._create_once(spec)
            except (Transient, RateLimited):
                if self._clock.now() > end:
                    raise
                self._clock.sleep(pause * self._jitter(0.5, 1.5))
        return self._create_once(spec)

    def _create_once(self, spec: ServerSpec) -> Server:
        start = self._clock.now()
        outcome, refused = "interrupted", False
        try:
            server = self._cloud.create(spec)
            outcome = f"server {server.id}"
            return server
        except CloudError as error:
            outcome, refused = f"{type(error).__name__}: {error}", isinstance(error, OutOfCapacity | QuotaExceeded)
            raise
        finally:
            self.attempts.append(Attempt(spec.offer, outcome, self._clock.now() - start, int(start), refused))

    def _made_by_another_run(self, spec: ServerSpec) -> Server | None:
        """Find the server that holds the name, if it is as good as ours would be."""
        ours = Lease.parse(spec.labels)
        for server in self._cloud.servers({label.SLOT: ours.slot}):
            try:
                lease = Lease.parse(server.labels)
            except LeaseError:
                continue
            if server.name == spec.name and lease.fingerprint == ours.fingerprint and lease.valid(self._clock.now()):
                return server
        return None
