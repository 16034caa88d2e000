"""Scaleway's stage: a face of its API in memory, at work only while its client sleeps."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parrotpark.cloud import Account, Cloud, Offer
from parrotpark.cloud.scaleway import ScalewayCloud
from tests.scaleway_in_memory import MOST_USER_DATA, ZONE, Scaleway, serving
from tests.unit.providers.faults import Wrap


@dataclass(frozen=True, slots=True)
class ScalewayStage:
    account: Account
    face: Scaleway
    offer: Offer
    other_type: str = "GP1-XS"
    image: str = "debian_trixie"
    most_user_data: int = MOST_USER_DATA

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.account.credential(),)

    def cloud(self) -> Cloud:
        return ScalewayCloud(self.account, self.account.credential(), sleep=self.face.work)

    def stranger(self) -> Cloud:
        return ScalewayCloud(self.account, "x" * 36, sleep=self.face.work)

    def clear(self) -> None:
        self.face.clear()

    def billed(self) -> Set[str]:
        return self.face.billed()

    def strand(self) -> Set[str]:
        self.face.reserve("51.15.0.9")
        self.face.volume("lost", 10_000_000_000)
        self.face.old_volume("old")
        self.face.snapshot("lost")
        return {"address 51.15.0.9", "volume lost", "volume old", "snapshot lost"}


@contextmanager
def scaleway(directory: Path, wrap: Wrap) -> Iterator[ScalewayStage]:
    with serving(directory, wrap) as served:
        yield ScalewayStage(served.account, served.face, Offer(served.account.name, ZONE, "L4-1-24G"))
