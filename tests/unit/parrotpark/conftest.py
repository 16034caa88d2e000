"""A cloud in memory, and the local cloud's API with nothing behind it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import settings
from urllib3.exceptions import ProtocolError

from parrotpark.cloud import (
    OFF,
    RUNNING,
    Account,
    Cloud,
    Furnishing,
    Image,
    Leftover,
    Offer,
    Prospect,
    Server,
    ServerSpec,
)
from parrotpark.cloud.errors import CloudError, InvalidRequest
from parrotpark.cloud.hetzner import HetznerCloud
from tests.cloud_in_memory import TOKENS, Served, serving

# A busy machine is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

HERE = Offer("fake", "fsn1", "gpu-l4")
THERE = Offer("fake", "nbg1", "gpu-l4")


class FakeCloud:
    """A cloud whose servers are only remembered, and whose offers can be made to refuse."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.calls: list[str] = []
        self.running: dict[str, Server] = {}
        self.saved: dict[str, Image] = {}
        self.unused: dict[str, Leftover] = {}
        self.refusals: dict[Offer, CloudError] = {}
        self.offers = {replace(offer, cloud=name) for offer in (HERE, THERE)}
        self.prices: dict[Offer, float] = {}
        self.checked: list[ServerSpec] = []
        self._ids = map(str, itertools.count(1))

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        self.calls.append(f"furnish {wanted.firewall}{' in a check' if check else ''}")
        return [f"firewall {wanted.firewall} made"]

    def price(self, offer: Offer) -> float | None:
        return self.prices.get(offer)

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        asked = f"{number} of {', '.join(offer.server_type for offer in offers)}"
        return Prospect((f"{self.name}: note on {asked}",), (f"{self.name}: fault of {asked}",))

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        return [server for server in self.running.values() if _carries(server, labels)]

    def check(self, specs: Sequence[ServerSpec]) -> None:
        for spec in specs:
            if spec.offer not in self.offers:
                raise InvalidRequest(f"{spec.offer} is unknown")
            self.checked.append(spec)

    def create(self, spec: ServerSpec) -> Server:
        self.calls.append(f"create {spec.name} as {spec.offer}")
        if spec.offer in self.refusals:
            raise self.refusals[spec.offer]
        return self.add(spec.name, spec.labels, offer=spec.offer, image=spec.image)

    def add(self, name: str, labels: Mapping[str, str], *, offer: Offer = HERE, image: str = "debian-13") -> Server:
        """Put a server there, as if somebody had made it before."""
        server = Server(
            id=next(self._ids),
            name=name,
            status=RUNNING,
            cloud=self.name,
            location=offer.location,
            server_type=offer.server_type,
            image=image,
            ipv4="192.0.2.7",
            ipv6=None,
            labels=dict(labels),
            created=0,
        )
        self.running[server.id] = server
        return server

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        self.calls.append(f"relabel {server.name}")
        self.running[server.id] = replace(server, labels=dict(labels))
        return self.running[server.id]

    def delete(self, server: Server) -> None:
        self.calls.append(f"delete {server.name}")
        self.running.pop(server.id, None)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        return [image for image in reversed(self.saved.values()) if _carries(image, labels)]

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        self.calls.append(f"snapshot {server.name}")
        self.running[server.id] = replace(server, status=OFF)
        return self.save(labels, description=description)

    def save(self, labels: Mapping[str, str], *, description: str = "golden", created: int | None = None) -> Image:
        """Put an image there, newer than all others, as if somebody had made it before."""
        image = Image(
            next(self._ids),
            self.name,
            description,
            created=len(self.saved) if created is None else created,
            labels=dict(labels),
        )
        self.saved[image.id] = image
        return image

    def delete_image(self, image: Image) -> None:
        self.calls.append(f"delete image {image.id}")
        self.saved.pop(image.id, None)

    def leftovers(self) -> Sequence[Leftover]:
        return list(self.unused.values())

    def delete_leftover(self, leftover: Leftover) -> None:
        self.calls.append(f"delete {leftover}")
        self.unused.pop(leftover.id, None)


def _carries(thing: Server | Image, labels: Mapping[str, str | None]) -> bool:
    return all(key in thing.labels and value in (None, thing.labels[key]) for key, value in labels.items())


@pytest.fixture(scope="session")
def make_cloud() -> Callable[[str], FakeCloud]:
    """Makes a cloud of that name."""
    return FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    fake = FakeCloud()
    _: Cloud = fake  # mypy holds the fake to the protocol
    return fake


@pytest.fixture
def local_cloud(tmp_path: Path) -> Iterator[Served]:
    """An empty local cloud over machines in memory, on a port of the loopback."""
    with serving(tmp_path / "cloud") as served:
        yield served


@pytest.fixture
def token() -> str:
    return next(token for token, project in TOKENS.items() if project == "gpu")


@pytest.fixture
def account(local_cloud: Served, token: str, tmp_path: Path) -> Account:
    """The project of the GPU hosts in the empty local cloud."""
    file = tmp_path / "gpu.token"
    file.write_text(token)
    return Account("gpu", "hetzner", str(file), local_cloud.endpoint)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets hcloud-python ask again soon: machines in memory are quick."""
    sleep = time.sleep
    monkeypatch.setattr("hcloud._client.time.sleep", lambda seconds: sleep(min(seconds, 0.01)))


@pytest.fixture
def hetzner(account: Account, token: str) -> HetznerCloud:
    """The empty local cloud through our client."""
    # A busy machine is given some time for what runs behind a call.
    return HetznerCloud(account, token, sleep=lambda seconds: time.sleep(min(seconds, 0.05)))


class Network:
    """The way to the API, which spoils one call."""

    def __init__(self) -> None:
        self.calls = 0
        self._spoil: tuple[str, str] | None = None
        self._left = 0

    def spoil(self, fault: str, *, nth: int = 1, call: str = "") -> None:
        """Spoil the nth call from now on whose method and address end with `call`."""
        self._spoil, self._left = (fault, call), nth

    def heal(self) -> None:
        """Spoil no further call."""
        self._spoil = None

    def pass_on(self, call: str, carry_out: Callable[[], requests.Response]) -> requests.Response:
        self.calls += 1
        if self._spoil is not None and call.endswith(self._spoil[1]):
            self._left -= 1
            if self._left == 0:
                fault, self._spoil = self._spoil[0], None
                return self._fail(fault, carry_out)
        return carry_out()

    def _fail(self, fault: str, carry_out: Callable[[], requests.Response]) -> requests.Response:
        if fault == "refused":
            raise requests.ConnectionError("connection refused")
        answer = carry_out()
        if fault == "lost":
            raise requests.ConnectionError(ProtocolError("Connection aborted."))
        if fault == "killed":
            raise KeyboardInterrupt
        answer._content = b"<html>"
        return answer


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network, request = Network(), requests.Session.request

    def passed_on(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        return network.pass_on(f"{method} {url}", lambda: request(session, method, url, **options))

    monkeypatch.setattr(requests.Session, "request", passed_on)
    return network
