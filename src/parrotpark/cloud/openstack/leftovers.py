"""What bills in an OpenStack project although no server uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import exceptions as auth
from openstack import exceptions as sdk
from openstack.connection import Connection

from parrotpark.cloud.api import Leftover
from parrotpark.cloud.errors import NotFound
from parrotpark.cloud.openstack.views import epoch, is_kept
from parrotpark.cloud.patience import Patience


@dataclass(frozen=True, slots=True)
class Unused:
    """The addresses and volumes of one project that belong to nothing."""

    cloud: str
    connection: Connection
    patiently: Patience

    def all(self) -> Iterator[Leftover]:
        """List them, except what a person marked `keep`."""
        network = self.connection.network
        with _where_offered():
            free = [ip for ip in network.ips() if not ip.port_id]
            yield from self._each("address", free)
        # A port holds a public address where servers attach to an external network.
        outside = {each.id for each in network.networks() if each.is_router_external or each.is_shared}
        ports = network.ports(device_id="", project_id=self.connection.current_project_id)
        yield from self._each(
            "address", [port for port in ports if not port.device_owner and port.network_id in outside]
        )
        with _where_offered():
            volumes = [volume for volume in self.connection.block_storage.volumes() if not volume.attachments]
            yield from self._each("volume", volumes)

    def delete(self, leftover: Leftover) -> None:
        """Delete it, if it is there."""
        network = self.connection.network
        id_ = leftover.id
        if leftover.kind == "volume":
            with suppress(NotFound):
                self.patiently(lambda: self.connection.block_storage.delete_volume(id_, ignore_missing=False))
            return
        with suppress(NotFound):
            self.patiently(lambda: network.delete_port(id_, ignore_missing=False))
            return
        with suppress(NotFound):
            self.patiently(lambda: network.delete_ip(id_, ignore_missing=False))

    def _each(self, kind: str, found: Iterable[Any]) -> Iterator[Leftover]:
        for each in found:
            if not is_kept(each):
                yield Leftover(kind, each.id, self.cloud, _name(each), epoch(each.created_at))


@contextmanager
def _where_offered() -> Iterator[None]:
    """A cloud without floating IPs or without volumes has none left over."""
    with suppress(sdk.NotFoundException, sdk.ServiceDisabledException, auth.CatalogException):
        yield


def _name(thing: Any) -> str:
    fixed = getattr(thing, "fixed_ips", None) or [{}]
    address = getattr(thing, "floating_ip_address", None) or fixed[0].get("ip_address")
    return str(address or thing.name or thing.id)
