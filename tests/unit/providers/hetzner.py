"""The local cloud as Hetzner's stage: in memory, and at work only while its client sleeps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hcloud import Client
from hcloud.locations import Location

from localcloud.api.app import create_app
from localcloud.api.rate_limit import RateLimits
from localcloud.core.store import State, Store
from parrotpark.cloud import Account, Cloud, Offer
from parrotpark.cloud.hetzner import HetznerCloud
from tests.cloud_in_memory import TOKENS, MemoryBackend, listening
from tests.unit.providers.faults import Wrap


class Forgetful(Store):
    """A store without a file."""

    def _save(self, state: State) -> None:
        """Keep it in memory only."""


class Later(Executor):
    """Does the work in the background when it is told to, so that clients see what is in progress."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def submit[**P, T](self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._waiting.append(lambda: future.set_result(work(*args, **kwargs)))
        return future

    def work(self, _seconds: float = 0) -> None:
        """Do what waits, in place of sleeping for so many seconds."""
        while self._waiting:
            self._waiting.pop(0)()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Forget what waits."""


@dataclass(frozen=True, slots=True)
class HetznerStage:
    account: Account
    store: Store
    later: Later
    offer: Offer
    other_type: str = "cx23"
    image: str = "debian-13"
    most_user_data: int = 2**15

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.account.credential(),)

    def cloud(self) -> Cloud:
        return HetznerCloud(self.account, self.account.credential(), sleep=self.later.work)

    def stranger(self) -> Cloud:
        return HetznerCloud(self.account, "x" * 64, sleep=self.later.work)

    def unfurnish(self) -> None:
        with self.store.change() as state:
            state.ssh_keys.clear()
            state.firewalls.clear()

    def billed(self) -> Set[str]:
        state = self.store.state
        tables: dict[str, Any] = {
            "server": state.servers,
            "image": state.images,
            "volume": state.volumes,
            "address": state.primary_ips,
        }
        return {f"{kind} {id_}" for kind, table in tables.items() for id_ in table}

    def strand(self) -> Set[str]:
        client = Client(self.account.credential(), api_endpoint=str(self.account.endpoint))
        here = Location(name=self.offer.location)
        client.primary_ips.create("ipv4", "lost", location=here)
        client.volumes.create(10, "lost", location=here)
        self.later.work()
        return {"address lost", "volume lost"}


@contextmanager
def hetzner(directory: Path, wrap: Wrap) -> Iterator[HetznerStage]:
    store, later = Forgetful(directory), Later()
    # A second passes with every call: the rate limit is no part of this.
    app = create_app(store, MemoryBackend(), TOKENS, RateLimits(itertools.count().__next__))
    app.state.actions._pool = later
    file = directory / "token"
    file.write_text(next(token for token, project in TOKENS.items() if project == "gpu"))
    with (
        listening(wrap(app)) as origin,
        patch("hcloud._client.time", SimpleNamespace(sleep=later.work)),
        patch("hcloud.actions.client.time", SimpleNamespace(sleep=later.work)),
    ):
        account = Account("here", "hetzner", str(file), f"{origin}/v1")
        yield HetznerStage(account, store, later, Offer(account.name, "fsn1", "ccx33"))
