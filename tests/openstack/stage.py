"""The real OpenStack as a stage for the tests of providers: each gets an empty project of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openstack
from openstack.connection import Connection

from parrotpark.cloud import Account, Cloud, Offer
from parrotpark.cloud.openstack import OpenStackCloud
from tests.openstack import real, seed
from tests.openstack.configure import KEYSTONE, REGION


@dataclass(frozen=True, slots=True)
class RealStage:
    account: Account
    project: seed.Project
    customer: Connection
    offer: Offer
    other_type: str = "l4-90"
    image: str = seed.IMAGE
    most_user_data: int = 49_149

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.project.password,)

    def cloud(self) -> Cloud:
        return OpenStackCloud(self.account, self.account.credential(), sleep=_soon)

    def stranger(self) -> Cloud:
        return OpenStackCloud(self.account, self.account.credential().replace(self.project.password, "x"), sleep=_soon)

    def billed(self) -> Set[str]:
        free = [port for port in self.customer.network.ports() if not port.device_id]
        owned = {
            "server": self.customer.compute.servers(),
            "image": self.customer.image.images(visibility="private"),
            "address": [*self.customer.network.ips(), *free],
        }
        return {f"{kind} {each.id}" for kind, things in owned.items() for each in things}

    def strand(self) -> Set[str]:
        network = self.customer.network
        outside = network.find_network(seed.NETWORK, ignore_missing=False)
        address = network.create_ip(floating_network_id=outside.id).floating_ip_address
        port = network.create_port(network_id=outside.id, name="lost").fixed_ips[0]["ip_address"]
        return {f"address {address}", f"address {port}"}

    def limit(self, servers: int) -> None:
        """Let the project have only so many servers."""
        seed.admin().compute.update_quota_set(self.project.id, instances=servers)

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Let that fail in the background while the block lasts."""
        fault = real.STATE / "faults" / what
        fault.touch()
        try:
            yield
        finally:
            fault.unlink()


def _soon(seconds: float) -> None:
    time.sleep(min(seconds, 1.0))


@contextmanager
def stage(directory: Path) -> Iterator[RealStage]:
    """Open a new project of the OpenStack that runs, and leave nothing running in it."""
    project = seed.project()
    file = directory / "clouds.yaml"
    file.write_text(project.clouds_yaml())
    auth = {"auth_url": KEYSTONE, "username": project.user, "password": project.password, "project_id": project.id}
    customer = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        region_name=REGION,
        auth=auth | {"user_domain_id": "default"},
        api_timeout=60,
    )
    yield RealStage(Account("here", "openstack", str(file)), project, customer, Offer("here", "nova", "b2-7"))
    for server in customer.compute.servers():
        customer.compute.delete_server(server)
