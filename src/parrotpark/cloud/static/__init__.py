"""Machines that are always there: a server is a claim on one of them, and nothing is made or deleted.

A box follows its lease by itself (gpu_host/deadman.py), so nothing here ever reaches one, except to wake it.
"""

# ruff: noqa: ARG002  the Protocol has arguments that nothing here needs

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parrotpark.cloud.account import Account
from parrotpark.cloud.api import RUNNING, Furnishing, Image, Leftover, Offer, Prospect, Server, ServerSpec, carries
from parrotpark.cloud.box import SERVER_TYPE, Box
from parrotpark.cloud.errors import InvalidRequest, NameTaken, NotFound, OutOfCapacity
from parrotpark.cloud.static.registry import Book, Claim, Provision, Registry
from parrotpark.cloud.static.waking import wake
from parrotpark.shared import lease as label

NO_IMAGES = "a box is provisioned where it stands, by make wake: no image is made of it, and none is deleted"


class StaticCloud:
    """The boxes of one cloud of the inventory, and the registry that says which are claimed."""

    def __init__(
        self, account: Account, *, waken: Callable[[Box], None] = wake, now: Callable[[], float] = time.time
    ) -> None:
        self.name = account.name
        self._boxes = {box.name: box for box in account.hosts}
        self._account = account
        self._waken = waken
        self._now = now

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        return ()

    def price(self, offer: Offer) -> float | None:
        self._box(offer)
        return 0.0  # unless the offer gives one, such as for electricity

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        return Prospect()  # nothing is made, so nothing is lacking

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        claims = self._registry().read().claims
        # A box that has left the inventory is listed as well, or nobody would ever release it.
        found = (self._server(box, claim) for box, claim in claims.items())
        return tuple(server for server in found if carries(server.labels, labels))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        provisioned = {provision.fingerprint for provision in self._registry().read().provisions.values()}
        for spec in specs:
            self._box(spec.offer)
            if spec.image not in provisioned:
                known = ", ".join(sorted(provisioned)) or "none"
                raise InvalidRequest(f"no box of cloud {self.name} is provisioned with {spec.image!r}, but: {known}")

    def create(self, spec: ServerSpec) -> Server:
        box = self._box(spec.offer)
        claim = self._registry().change(lambda book: self._claimed(book, box, spec))
        server = self._server(box.name, claim)
        try:
            self._waken(box)
        except OutOfCapacity:
            self.delete(server)
            raise
        return server

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        def relabelled(book: Book) -> tuple[Book, Claim]:
            held = book.claims.get(server.location)
            if held is None or held.id != server.id:
                raise NotFound(f"box {server.location} is not claimed as {server.id} any more: look again")
            claim = replace(held, labels=dict(labels))
            return replace(book, claims={**book.claims, server.location: claim}), claim

        return self._server(server.location, self._registry().change(relabelled))

    def delete(self, server: Server) -> None:
        def without(book: Book) -> tuple[Book, None]:
            kept = {box: claim for box, claim in book.claims.items() if claim.id != server.id}
            return replace(book, claims=kept), None

        self._registry().change(without)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        newest: dict[str, int] = {}
        for box, provision in self._registry().read().provisions.items():
            if box in self._boxes:
                newest[provision.fingerprint] = max(provision.at, newest.get(provision.fingerprint, 0))
        found = (self._image(fingerprint, at) for fingerprint, at in newest.items())
        return tuple(
            sorted((image for image in found if carries(image.labels, labels)), key=lambda image: -image.created)
        )

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        raise InvalidRequest(NO_IMAGES)

    def delete_image(self, image: Image) -> None:
        raise InvalidRequest(NO_IMAGES)

    def leftovers(self) -> Sequence[Leftover]:
        return ()

    def delete_leftover(self, leftover: Leftover) -> None:
        raise InvalidRequest(f"cloud {self.name} has no {leftover.kind}s")

    def provisioned(self, box: str, fingerprint: str) -> bool:
        """Record what a box was provisioned from; say whether that is new.

        Raises:
            CloudError: there is no such box, or the registry cannot be used.
        """
        self._box(Offer(self.name, box, SERVER_TYPE))

        def recorded(book: Book) -> tuple[Book, bool]:
            if (known := book.provisions.get(box)) and known.fingerprint == fingerprint:
                return book, False
            entry = Provision(fingerprint, int(self._now()))
            return replace(book, provisions={**book.provisions, box: entry}), True

        return self._registry().change(recorded)

    def _claimed(self, book: Book, box: Box, spec: ServerSpec) -> tuple[Book, Claim]:
        """Claim the box, or find that this was done before, or refuse."""
        for claim in book.claims.values():
            if claim.name == spec.name:
                if claim is book.claims.get(box.name) and claim.labels == dict(spec.labels):
                    return book, claim
                raise NameTaken(f"a box is claimed as {spec.name!r} with another lease: release it, or look again")
        if box.name in book.claims:
            raise OutOfCapacity(f"box {box.name} is claimed as {book.claims[box.name].name}")
        if spec.labels.get(label.SLOT) != box.slot:
            raise OutOfCapacity(f"box {box.name} is for slot {box.slot} alone")
        provision = book.provisions.get(box.name)
        if provision is None or provision.fingerprint != spec.image:
            what = f"with {provision.fingerprint}" if provision else "at all"
            raise OutOfCapacity(f"box {box.name} is not provisioned with {spec.image}, {what}: run make wake")
        made = book.made + 1
        claim = Claim(f"{box.name}-{made}", spec.name, dict(spec.labels), int(self._now()), spec.image)
        return replace(book, claims={**book.claims, box.name: claim}, made=made), claim

    def _box(self, offer: Offer) -> Box:
        if offer.server_type != SERVER_TYPE:
            raise InvalidRequest(f"server type {offer.server_type!r} is unknown to cloud {self.name}: {SERVER_TYPE}")
        try:
            return self._boxes[offer.location]
        except KeyError:
            known = ", ".join(self._boxes) or "none"
            raise InvalidRequest(f"box {offer.location!r} is unknown to cloud {self.name}; it knows: {known}") from None

    def _registry(self) -> Registry:
        if self._account.registry is None:
            raise InvalidRequest(f"only the entry server knows which boxes of cloud {self.name} are claimed: ask there")
        return Registry(Path(self._account.registry))

    def _server(self, box: str, claim: Claim) -> Server:
        return Server(
            id=claim.id,
            name=claim.name,
            status=RUNNING,
            cloud=self.name,
            location=box,
            server_type=SERVER_TYPE,
            image=claim.image,
            ipv4=None,
            ipv6=None,
            labels=claim.labels,
            created=claim.created,
        )

    def _image(self, fingerprint: str, at: int) -> Image:
        # What golden images carry: it is looked for by this label.
        labels = {label.ROLE: label.GPU_IMAGE, label.FINGERPRINT: fingerprint}
        return Image(fingerprint, self.name, "boxes, provisioned where they stand", at, labels)
