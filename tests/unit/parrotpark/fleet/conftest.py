"""A GPU project in memory with its own clock, whose every call can fail in every way, and the hosts that live in it."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings

from parrotpark.cloud import OFF, RUNNING, Cloud, Furnishing, Image, Leftover, Offer, Prospect, Server, ServerSpec
from parrotpark.cloud.errors import CloudError, InvalidRequest, NameTaken, NotFound, Transient
from parrotpark.control.secrets.keys import SshAlgorithm
from parrotpark.control.slots import slot_document, slots
from parrotpark.fleet.config import Fleet, load
from parrotpark.fleet.drain import Gate
from parrotpark.fleet.errors import FleetError
from parrotpark.fleet.keep import Keeper
from parrotpark.shared.history import History
from parrotpark.shared.lease import FINGERPRINT, ROLE, SLOT, Lease, State
from parrotpark.shared.progress import Progress
from parrotpark.shared.wish import Wish, WishError, write_wish

# A busy machine is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

NOW = 1_800_000_000
HERE, THERE = Offer("gpu", "fsn1", "gpu-l4"), Offer("gpu", "nbg1", "gpu-l4")
WANTED, OLD = "a" * 32, "b" * 32  # fingerprints
ENDPOINT = "10.78.0.1"
SSH_KEY = SshAlgorithm().private()
TERM = 900  # seconds of a lease, and until a host has to be ready


class Killed(BaseException):
    """Our process ends here: nothing may catch it."""


type Fault = Literal[
    "refused",  # before anything was done
    "lost",  # done, but the answer was lost
    "wrong",  # done, but the answer cannot be understood; a list is not whole
    "killed before",  # our process was killed before the call
    "killed after",
    "killed between",  # our process was killed, and the cloud did only half
]


class SimulatedClock:
    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Project:
    """What the provider has: the truth."""

    clock: SimulatedClock
    name: str = "gpu"
    servers: dict[str, Server] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    leftovers: dict[str, Leftover] = field(default_factory=dict)
    user_data: dict[str, str] = field(default_factory=dict)  # by server
    refusals: dict[Offer, CloudError] = field(default_factory=dict)
    price: float | None = 1.0  # euros an hour, of whatever server
    boots_in: float = 30  # seconds from creation until the models answer
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)  # by server, from when to when they do not
    made: int = 0  # servers by the fleet
    heard: dict[str, int] = field(default_factory=dict)  # by server, the latest end of its lease that it heard of
    ids: Iterable[int] = field(default_factory=lambda: itertools.count(8))  # soon with two digits

    def id(self) -> str:
        return str(next(iter(self.ids)))

    def add(
        self,
        name: str,
        labels: Mapping[str, str],
        *,
        offer: Offer = HERE,
        image: str | None = None,
        status: str = RUNNING,
    ) -> Server:
        """Put a server there, as if somebody had made it before."""
        server = Server(
            id=self.id(),
            name=name,
            status=status,
            cloud=self.name,
            location=offer.location,
            server_type=offer.server_type,
            image=image,
            ipv4="192.0.2.7",
            ipv6=None,
            labels=dict(labels),
            created=int(self.clock.now()),
        )
        self.servers[server.id] = server
        return server

    def lease(
        self, slot: str = "gpu-1", state: State = State.SERVING, *, left: int = TERM, fingerprint: str = WANTED
    ) -> dict[str, str]:
        """Write the labels of a lease that ends in `left` seconds."""
        return Lease("gpu", slot, state, "somebody", fingerprint, int(self.clock.now()) + left).labels()

    def save(self, fingerprint: str = WANTED) -> Image:
        """Put a golden image there."""
        labels = {ROLE: "gpu-image", FINGERPRINT: fingerprint}
        image = Image(self.id(), self.name, "golden", int(self.clock.now()), labels)
        self.images = {image.id: image, **self.images}
        return image

    def names(self) -> list[str]:
        return sorted(server.name for server in self.servers.values())

    def hang(self, name: str, seconds: float = float("inf")) -> None:
        """Let the models of a host stop answering for a while."""
        self.ends[self.named(name).id] = (self.clock.now(), self.clock.now() + seconds)

    def answers(self, server: Server) -> bool:
        now = self.clock.now()
        begin, end = self.ends.get(server.id, (now, now))
        return server.status == RUNNING and now >= server.created + self.boots_in and not begin <= now < end

    def switch(self, name: str, status: str) -> None:
        server = self.named(name)
        self.servers[server.id] = replace(server, status=status)

    def deadman(self, told: Mapping[str, int]) -> None:
        """Let every host ask for the end of its lease, and switch itself off when that is over."""
        for server in self.servers.values():
            if data := self.user_data.get(server.id):
                (file,) = json.loads(data.removeprefix("#cloud-config\n"))["write_files"]
                first = json.loads(file["content"])["lease"]["until"]
                self.heard[server.id] = max(first, self.heard.get(server.id, 0), told.get(server.name, 0))
                if self.clock.now() > self.heard[server.id]:
                    self.switch(server.name, OFF)

    def named(self, name: str) -> Server:
        return next(server for server in self.servers.values() if server.name == name)


class SimulatedCloud:
    """One controller's way to the project; `fault` is asked before every call how it shall fail."""

    def __init__(self, project: Project, fault: Callable[[str], Fault | None] = lambda _: None) -> None:
        self.project = project
        self.name = project.name
        self.fault = fault
        self.calls: list[str] = []

    def _call[T](self, name: str, act: Callable[[], T], half: Callable[[], object] = lambda: None) -> T:
        self.calls.append(name)
        fault = self.fault(name)
        if fault == "refused":
            raise Transient(f"{name}: refused: run it again")
        if fault == "killed before":
            raise Killed(name)
        if fault == "killed between":
            half()
            raise Killed(name)
        answer = act()
        if fault == "lost":
            raise Transient(f"{name}: no answer: run it again")
        if fault == "killed after":
            raise Killed(name)
        if fault == "wrong":
            if isinstance(answer, tuple):
                return answer[1:]  # type: ignore[return-value]  # a tuple is all that lists return
            raise InvalidRequest(f"{name}: the answer is nonsense")
        return answer

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        return self._call("list servers", lambda: _carrying(self.project.servers, labels))

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        return self._call("list images", lambda: _carrying(self.project.images, labels))

    def leftovers(self) -> Sequence[Leftover]:
        return self._call("list leftovers", lambda: tuple(self.project.leftovers.values()))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        self._call("check", lambda: self._check(specs))

    def _check(self, specs: Sequence[ServerSpec]) -> None:
        for spec in specs:
            if spec.image not in self.project.images:
                raise InvalidRequest(f"image {spec.image!r} is unknown to the cloud")
            if replace(spec.offer, cloud=HERE.cloud) not in (HERE, THERE):
                raise InvalidRequest(
                    f"server type {spec.offer.server_type!r} is unknown to the cloud; it knows: gpu-l4"
                )

    def create(self, spec: ServerSpec) -> Server:
        return self._call(f"create {spec.name} as {spec.offer}", lambda: self._create(spec), self._half)

    def _create(self, spec: ServerSpec) -> Server:
        for server in self.project.servers.values():
            if server.name == spec.name:
                if server.labels == dict(spec.labels):
                    return server
                raise NameTaken(f"a server named {spec.name!r} exists with another lease")
        if spec.offer in self.project.refusals:
            raise self.project.refusals[spec.offer]
        if spec.image not in self.project.images or replace(spec.offer, cloud=HERE.cloud) not in (HERE, THERE):
            raise NotFound("something is not found (not_found)")
        self.project.made += 1
        server = self.project.add(spec.name, spec.labels, offer=spec.offer, image=spec.image)
        self.project.user_data[server.id] = spec.user_data
        return server

    def _half(self, server: Server | None = None) -> None:
        """Leave an address behind: of a server that was not made yet, or is gone already."""
        if server:
            self._delete(server)
        address = Leftover("address", self.project.id(), self.name, "192.0.2.9", int(self.project.clock.now()))
        self.project.leftovers[address.id] = address

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        return self._call(f"relabel {server.name}", lambda: self._relabel(server, labels))

    def _relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        if server.id not in self.project.servers:
            raise NotFound(f"server {server.name} is not there")
        self.project.servers[server.id] = replace(self.project.servers[server.id], labels=dict(labels))
        return self.project.servers[server.id]

    def delete(self, server: Server) -> None:
        self._call(f"delete {server.name}", lambda: self._delete(server), lambda: self._half(server))

    def _delete(self, server: Server) -> None:
        self.project.servers.pop(server.id, None)

    def delete_leftover(self, leftover: Leftover) -> None:
        self._call(f"delete {leftover}", lambda: self.project.leftovers.pop(leftover.id, None))

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        raise NotImplementedError("the fleet makes no images")

    def delete_image(self, image: Image) -> None:
        raise NotImplementedError("the fleet deletes no images")

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        raise NotImplementedError("the fleet furnishes nothing")

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        raise NotImplementedError("the fleet tries")

    def price(self, offer: Offer) -> float | None:
        return self._call("price", lambda: self.project.price if offer.server_type else None)


def _carrying[T: (Server, Image)](things: Mapping[str, T], labels: Mapping[str, str | None]) -> tuple[T, ...]:
    return tuple(
        thing
        for thing in things.values()
        if all(key in thing.labels and value in (None, thing.labels[key]) for key, value in labels.items())
    )


class SimulatedGate:
    """A gate, and how long the answers that run behind it still take."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.closed: frozenset[str] = frozenset()
        self.history: list[frozenset[str]] = []
        self.answering_until = 0.0

    def close(self, addresses: Collection[str]) -> None:
        self.closed = frozenset(addresses)
        self.history.append(self.closed)

    def connections(self, addresses: Collection[str]) -> int:
        return len(addresses) if self.clock.now() < self.answering_until else 0


class Controller:
    """An entry server: files of its own, clouds that may fail it, and one keeper for every run."""

    def __init__(self, fleet: Fleet, project: Project, *others: Project) -> None:
        self.fleet = fleet
        self.project = project
        self.clock = project.clock
        self.clouds = [SimulatedCloud(each) for each in (project, *others)]
        self.cloud = self.clouds[0]
        self.gate = SimulatedGate(project.clock)
        self.lines: list[str] = []
        self.endpoint_up = True
        _: tuple[Cloud, Gate] = (self.cloud, self.gate)  # mypy holds the simulations to the protocols

    @property
    def keeper(self) -> Keeper:
        progress = Progress(self.clock, History(self.fleet.state_dir / "history.jsonl"), self.lines.append)
        return Keeper(self.fleet, self.clouds, self.clock, self.gate, self.probe, progress)

    def probe(self, addresses: Iterable[str], ports: Sequence[int]) -> frozenset[str]:
        assert tuple(ports) == (8001, 8002)
        return frozenset(address for address in addresses if self._answers(address))

    def _answers(self, address: str) -> bool:
        if address == ENDPOINT:
            return self.endpoint_up and any(self._answers(slot.address) for slot in self.fleet.slots)
        (slot,) = (slot.name for slot in self.fleet.slots if slot.address == address)
        return any(
            server.labels.get(SLOT) == slot and cloud.project.answers(server)
            for cloud in self.clouds
            for server in cloud.project.servers.values()
        )

    def attempt(self, verb: Callable[[Keeper], object], faults: Mapping[int, Fault]) -> int:
        """Run the verb with faults at the calls of these numbers; return how many calls it got to make."""
        numbers = itertools.count()
        self.cloud.fault = lambda _: faults.get(next(numbers))
        before = len(self.cloud.calls)
        with suppress(Killed, CloudError, FleetError, WishError):
            verb(self.keeper)
        self.cloud.fault = lambda _: None
        return len(self.cloud.calls) - before

    def wish(self, text: str) -> None:
        write_wish(self.fleet.wish_file, Wish.parse(text))

    def told(self) -> dict[str, int]:
        """Return what the hosts hear about the ends of their leases."""
        return {path.name: int(path.read_text()) for path in self.fleet.leases_dir.glob("*")}


def config(folder: Path, **changes: Any) -> Path:
    """Write a configuration with three slots."""
    key = b64encode(bytes(32)).decode()
    documents = [
        slot_document(
            slot,
            network="10.78.0.0/24",
            listen_port=51820,
            wireguard_private_key=key,
            peer_public_key=key,
            peer_endpoint="192.0.2.1:51820",
            allowed_ips=["10.78.0.1/32"],
            ssh_host_key=SSH_KEY,
            vllm_api_key="topsecret",
        ).to_dict()
        for slot in slots(3, "10.78.0.0/24")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slots.json").write_text(json.dumps(documents))
    (folder / "gpu").write_text("a-token")
    values = {
        "clouds": [{"name": "gpu", "provider": "hetzner", "endpoint": "http://127.0.0.1:9/v1"}],
        "credentials_dir": str(folder),
        "offers": [asdict(HERE), asdict(THERE)],
        "ssh_keys": ["parrotpark"],
        "firewalls": ["parrotpark-gpu"],
        "fingerprint": WANTED,
        "maker": "entry-server",
        "lease_seconds": TERM,
        "drain_seconds": 60,
        "ready_seconds": TERM,
        "models": [{"name": "generate", "port": 8001}, {"name": "embed", "port": 8002}],
        "endpoint_address": ENDPOINT,
        "slots_file": str(folder / "slots.json"),
        "hosts": 1,
        "wish_file": str(folder / "data/wish"),
        "state_dir": str(folder / "state"),
        "leases_dir": str(folder / "run/leases"),
        "bill_file": str(folder / "data/bill.json"),
        **changes,
    }
    path = folder / "fleet.json"
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))
    return path


type World = Callable[[int], tuple[Project, list[Controller]]]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make a project, and so many controllers of it."""

    def make(number: int) -> tuple[Project, list[Controller]]:
        project = Project(SimulatedClock())
        folders = [tmp_path_factory.mktemp("controller") for _ in range(number)]
        fleets = [load(config(folder, maker=f"controller-{index}")) for index, folder in enumerate(folders)]
        return project, [Controller(fleet, project) for fleet in fleets]

    return make


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a configuration with these changes; `...` leaves a value out."""
    return lambda **changes: config(tmp_path, **changes)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return load(config(tmp_path))


@pytest.fixture
def project() -> Project:
    return Project(SimulatedClock())


@pytest.fixture
def controller(fleet: Fleet, project: Project) -> Controller:
    return Controller(fleet, project)


@pytest.fixture
def other(project: Project) -> Project:
    """The project of a second cloud, whose ids are those of the first."""
    return Project(project.clock, "other")


@pytest.fixture
def both(tmp_path: Path, project: Project, other: Project) -> Controller:
    """An entry server with two clouds, the first of which is preferred."""
    clouds = [{"name": each.name, "provider": "hetzner"} for each in (project, other)]
    offers = [asdict(offer) for offer in (HERE, THERE, replace(HERE, cloud=other.name))]
    return Controller(load(config(tmp_path, clouds=clouds, offers=offers)), project, other)
