"""Several clouds as one: what is listed is of all of them, and what is done is done where a thing belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby

from parrotpark.cloud.api import Cloud, Furnishing, Image, Leftover, Offer, Prospect, Server, ServerSpec
from parrotpark.cloud.errors import InvalidRequest


class SeveralClouds:
    """Clouds by their names. Nothing is known of any while one of them cannot be asked: it may hold a slot's server."""

    def __init__(self, clouds: Iterable[Cloud]) -> None:
        self._clouds = {cloud.name: cloud for cloud in clouds}
        self.name = ", ".join(self._clouds)

    def furnish(self, wanted: Furnishing, *, check: bool = False) -> Sequence[str]:
        return tuple(
            f"{cloud.name}: {change}"
            for cloud in self._clouds.values()
            for change in cloud.furnish(wanted, check=check)
        )

    def price(self, offer: Offer) -> float | None:
        return self._at(offer.cloud).price(offer)

    def servers(self, labels: Mapping[str, str | None]) -> Sequence[Server]:
        return self._all(lambda cloud: cloud.servers(labels))

    def check(self, specs: Sequence[ServerSpec]) -> None:
        for name, group in groupby(sorted(specs, key=_cloud_of), key=_cloud_of):
            self._at(name).check(tuple(group))

    def prospect(self, offers: Sequence[Offer], number: int) -> Prospect:
        found = [
            self._at(name).prospect(tuple(group), number)
            for name, group in groupby(sorted(offers, key=lambda offer: offer.cloud), key=lambda offer: offer.cloud)
        ]
        return Prospect(
            tuple(note for each in found for note in each.notes),
            tuple(fault for each in found for fault in each.faults),
        )

    def create(self, spec: ServerSpec) -> Server:
        return self._at(spec.offer.cloud).create(spec)

    def relabel(self, server: Server, labels: Mapping[str, str]) -> Server:
        return self._at(server.cloud).relabel(server, labels)

    def delete(self, server: Server) -> None:
        self._at(server.cloud).delete(server)

    def images(self, labels: Mapping[str, str | None]) -> Sequence[Image]:
        found = self._all(lambda cloud: cloud.images(labels))
        return tuple(sorted(found, key=lambda image: image.created, reverse=True))

    def snapshot(self, server: Server, description: str, labels: Mapping[str, str]) -> Image:
        return self._at(server.cloud).snapshot(server, description, labels)

    def delete_image(self, image: Image) -> None:
        self._at(image.cloud).delete_image(image)

    def leftovers(self) -> Sequence[Leftover]:
        return self._all(lambda cloud: cloud.leftovers())

    def delete_leftover(self, leftover: Leftover) -> None:
        self._at(leftover.cloud).delete_leftover(leftover)

    def _all[T](self, ask: Callable[[Cloud], Sequence[T]]) -> tuple[T, ...]:
        return tuple(chain.from_iterable(map(ask, self._clouds.values())))

    def _at(self, name: str) -> Cloud:
        try:
            return self._clouds[name]
        except KeyError:
            raise InvalidRequest(f"cloud {name!r} is unknown; known: {self.name or 'none'}") from None


def _cloud_of(spec: ServerSpec) -> str:
    return spec.offer.cloud
