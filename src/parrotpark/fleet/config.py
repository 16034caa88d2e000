"""What the fleet is made of: `fleet.json` and the slot documents beside it, read and judged as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from parrotpark.cloud import PROVIDERS, Account, Offer
from parrotpark.cloud.account import STATIC
from parrotpark.cloud.box import MAC, SERVER_TYPE, is_mac
from parrotpark.shared import slot_document
from parrotpark.shared.lease import FINGERPRINT_LENGTH, MAX_LENGTH, label_value
from parrotpark.shared.reader import Reader
from parrotpark.shared.slot_document import DocumentError, SlotDocument


class ConfigError(Exception):
    """The configuration is wrong; `problems` has one line for each fault and contains no secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that every GPU host serves."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything a wake needs to know."""

    clouds: tuple[Account, ...]
    offers: tuple[Offer, ...]  # in order of preference
    ssh_keys: tuple[str, ...]
    firewalls: tuple[str, ...]
    fingerprint: str
    maker: str
    lease_seconds: int  # of a serving host; renewed once less than two thirds are left
    drain_seconds: int  # for running answers to end
    ready_seconds: int  # for a new host to serve; its first lease lasts that long
    models: tuple[Model, ...]
    endpoint_address: str  # where the models answer, whichever slot serves
    slots: tuple[SlotDocument, ...]
    hosts: int  # what `awake` without a number means
    wish_file: Path
    state_dir: Path
    leases_dir: Path
    bill_file: Path
    prices: Mapping[Offer, float]  # euros an hour without VAT, where the inventory gives them
    monthly_cap: float | None  # euros without VAT
    cards_port: int = 0  # where a host tells how its cards are; 0 where none does

    def offers_for(self, slot: str) -> tuple[Offer, ...]:
        """List what a server in the slot may be, in order: a box's slot is for that box alone, and it for no other."""
        boxes = _slots_of_boxes(self.clouds)
        wanted = slot if slot in self.boxed else None
        return tuple(offer for offer in self.offers if boxes.get(offer) == wanted)

    def rank(self, slot: SlotDocument) -> tuple[int, int]:
        """Order slots by preference: by the first of their offers, then as they are configured."""
        return self.offers.index(self.offers_for(slot.name)[0]), self.slots.index(slot)

    @property
    def boxed(self) -> frozenset[str]:
        """Name the slots of boxes."""
        return frozenset(box.slot for cloud in self.clouds for box in cloud.hosts)

    @property
    def ports(self) -> tuple[int, ...]:
        """List the ports that the models answer on."""
        return tuple(model.port for model in self.models)


def load(path: Path) -> Fleet:
    """Read the configuration and the slot documents it names.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[str] = []
    top = _Settings(_json(path), problems)
    slots_file, credentials, bill = top.path("slots_file"), top.path("credentials_dir"), top.path("bill_file")
    priced = top.each("offers", lambda offer: (_offer(offer), offer.euros("price")))
    fleet = Fleet(
        clouds=top.each("clouds", lambda cloud: _account(cloud, credentials, bill.parent)),
        offers=tuple(offer for offer, _ in priced),
        ssh_keys=top.names("ssh_keys"),
        firewalls=top.names("firewalls"),
        fingerprint=top.text("fingerprint", _is_fingerprint, f"{FINGERPRINT_LENGTH} hexadecimal digits"),
        maker=top.text("maker", _is_label, f"a label: at most {MAX_LENGTH} letters, digits, '-', '_' or '.'"),
        lease_seconds=top.number("lease_seconds", 180, 86400, 900),
        drain_seconds=top.number("drain_seconds", 0, 3600, 60),
        ready_seconds=top.number("ready_seconds", 60, 86400, 900),
        models=top.each("models", lambda model: Model(model.name("name"), model.number("port", 1, 65535))),
        endpoint_address=top.text("endpoint_address", _is_address, "an IP address"),
        slots=_slots(slots_file, problems),
        hosts=top.number("hosts", 1, 999, 1),
        wish_file=top.path("wish_file"),
        state_dir=top.path("state_dir"),
        leases_dir=top.path("leases_dir"),
        bill_file=bill,
        prices={offer: price for offer, price in priced if price is not None},
        monthly_cap=top.euros("monthly_cap") or None,
        cards_port=top.number("cards_port", 0, 65535, 0),
    )
    top.end()
    if not problems and fleet.hosts > len(fleet.slots):
        problems.append(f"hosts is {fleet.hosts}, but {slots_file} has only {len(fleet.slots)} slots")
    known = [cloud.name for cloud in fleet.clouds]
    problems.extend(f"clouds: {name} is named twice" for name in sorted(_duplicates(known)))
    problems.extend(
        f"offers: cloud {offer.cloud!r} is not in clouds, which has {', '.join(known)}"
        for offer in fleet.offers
        if known and offer.cloud not in known
    )
    if not problems:
        problems.extend(_faults_of_boxes(fleet))
    if not problems and fleet.drain_seconds * 3 > fleet.lease_seconds:
        # While some hosts are drained, the leases of the others are not renewed.
        problems.append(f"drain_seconds must be at most a third of lease_seconds, {fleet.lease_seconds // 3}")
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return fleet


class _Settings(Reader):
    """Takes settings out of a JSON object; unlike a slot document's values, some can be left out."""

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        if default is not None and self._values.get(key) is None:
            self._known.add(key)
            return default
        return super().number(key, low, high)

    def euros(self, key: str) -> float | None:
        value = self._take(key)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0):
            return value
        self._problems.append(f"{self._full(key)} must be a number of euros, or left out")
        return None

    def optional(self, key: str, valid: Callable[[str], bool], what: str) -> str | None:
        if self._values.get(key) in (None, ""):
            self._known.add(key)
            return None
        return self.text(key, valid, what)

    def name(self, key: str) -> str:
        return self.text(key, _is_said, "a name")

    def path(self, key: str) -> Path:
        return Path(self.text(key, lambda text: text.startswith("/"), "an absolute path"))

    def names(self, key: str) -> tuple[str, ...]:
        if not self._values.get(key):
            self._known.add(key)
            return ()
        return self.texts(key, _is_said, "a name")

    def each[T](self, key: str, make: Callable[[_Settings], T]) -> tuple[T, ...]:
        values = self._take(key)
        if not isinstance(values, list) or not values:
            self._problems.append(f"{self._full(key)} must be a list of one or more objects")
            return ()
        readers = [
            _Settings(value, self._problems, f"{self._full(key)}[{index}]") for index, value in enumerate(values)
        ]
        made = tuple(make(reader) for reader in readers)
        for reader in readers:
            reader.end()
        return made


def _account(cloud: _Settings, credentials: Path, kept: Path) -> Account:
    name = cloud.text("name", _is_label, f"a label: at most {MAX_LENGTH} letters, digits, '-', '_' or '.'")
    said: dict[str, object] = {
        "name": name,
        "provider": cloud.text("provider", PROVIDERS.__contains__, f"one of {', '.join(PROVIDERS)}"),
        "endpoint": cloud.optional("endpoint", _is_url, "a URL, or left out for the provider's own"),
        "region": cloud.optional("region", _is_said, "a name"),
        "project": cloud.optional("project", _is_said, "an id"),
    }
    if said["provider"] == STATIC:
        # Beside the bill, as it has to outlive this machine.
        return Account.of({**said, "hosts": cloud.each("hosts", _box), "registry": str(kept / f"boxes-{name}.json")})
    return Account.of({**said, "credential_file": str(credentials / name)})


def _box(box: _Settings) -> dict[str, object]:
    return {
        "name": box.name("name"),
        "slot": box.name("slot"),
        "wake_mac": box.optional("wake_mac", is_mac, MAC),
        "wake_address": box.optional("wake_address", _is_said, "a name or an address"),
        "wake_command": box.names("wake_command"),
    }


def _slots_of_boxes(clouds: Sequence[Account]) -> dict[Offer, str]:
    return {Offer(cloud.name, box.name, SERVER_TYPE): box.slot for cloud in clouds for box in cloud.hosts}


def _faults_of_boxes(fleet: Fleet) -> Iterator[str]:
    """Say what does not fit together: everything else relies on it."""
    boxes, slots = _slots_of_boxes(fleet.clouds), [slot.name for slot in fleet.slots]
    static = [cloud for cloud in fleet.clouds if cloud.provider == STATIC]
    names = [box.name for cloud in static for box in cloud.hosts]
    yield from (f"clouds: box {name} is named twice" for name in sorted(_duplicates(names)))
    yield from (f"clouds: slot {slot} has two boxes" for slot in sorted(_duplicates([*boxes.values()])))
    yield from (
        f"clouds: box {box.location} is for slot {slot}, which is none"
        for box, slot in boxes.items()
        if slot not in slots
    )
    for offer in fleet.offers:
        if offer not in boxes and offer.cloud in [cloud.name for cloud in static]:
            yield f"offers: there is no {offer}"
    yield from (f"offers: none is for {slot}" for slot in slots if not fleet.offers_for(slot))


def _offer(offer: _Settings) -> Offer:
    return Offer(offer.name("cloud"), offer.name("location"), offer.name("server_type"))


def _slots(path: Path, problems: list[str]) -> tuple[SlotDocument, ...]:
    try:
        documents = _json(path)
    except ConfigError as error:
        problems.extend(error.problems)
        return ()
    if not isinstance(documents, list) or not documents:
        problems.append(f"{path} must be a list of one or more slot documents")
        return ()
    slots = []
    for index, document in enumerate(documents):
        # Judged as the GPU host will judge it.
        try:
            slots.append(slot_document.parse(document, leased=False))
        except DocumentError as error:
            problems.extend(f"{path}[{index}]: {problem}" for problem in error.problems)
    for what, values in (("slot", [slot.name for slot in slots]), ("address", [slot.address for slot in slots])):
        problems.extend(f"{path}: {what} {value} is used twice" for value in sorted(_duplicates(values)))
    return tuple(slots)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error
    except ValueError:
        # The error would quote the text, and with it secrets.
        raise ConfigError([f"{path} is not JSON"]) from None


def _duplicates(values: Sequence[str]) -> set[str]:
    return {value for value in values if values.count(value) > 1}


def _is_said(text: str) -> bool:
    return text.strip() != ""


def _is_url(text: str) -> bool:
    return re.fullmatch(r"https?://\S+", text) is not None


def _is_fingerprint(text: str) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{FINGERPRINT_LENGTH}}}", text) is not None


def _is_label(text: str) -> bool:
    return text != "" and label_value(text) == text


def _is_address(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return "/" not in text
