"""OpenStack in memory as its stage."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parrotpark.cloud import Account, Cloud, Offer
from parrotpark.cloud.openstack import OpenStackCloud
from tests.openstack_in_memory import MICROVERSION, PASSWORD, Served, serving
from tests.unit.providers.faults import Wrap


@dataclass(frozen=True, slots=True)
class OpenStackStage:
    served: Served
    offer: Offer
    other_type: str = "l4-90"
    image: str = "Debian 13"
    most_user_data: int = 49_149  # 65535 characters of base64

    @property
    def account(self) -> Account:
        return self.served.account

    @property
    def secrets(self) -> tuple[str, ...]:
        return (PASSWORD,)

    def cloud(self) -> Cloud:
        return OpenStackCloud(self.account, self.account.credential(), sleep=self.served.work)

    def stranger(self) -> Cloud:
        text = self.account.credential().replace(PASSWORD, "x" * 20)
        return OpenStackCloud(self.account, text, sleep=self.served.work)

    def clear(self) -> None:
        self.served.state.clear()

    def billed(self) -> Set[str]:
        return self.served.billed()

    def strand(self) -> Set[str]:
        state = self.served.state
        address = state.add_floating()["floating_ip_address"]
        port = state.add_port(next(iter(state.networks.values())))["fixed_ips"][0]["ip_address"]
        state.add_volume("lost")
        return {f"address {address}", f"address {port}", "volume lost"}

    def limit(self, servers: int) -> None:
        """Let the project have only so many servers."""
        self.served.state.most_servers = servers

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Let that fail in the background while the block lasts."""
        self.served.state.faults.add(what)
        yield
        self.served.state.faults.remove(what)


@contextmanager
def openstack(directory: Path, wrap: Wrap, microversion: tuple[int, int] = MICROVERSION) -> Iterator[OpenStackStage]:
    with serving(directory, wrap, microversion) as served:
        yield OpenStackStage(served, Offer(served.account.name, "nova", "b2-7"))
