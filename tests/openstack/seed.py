"""What an operator gives a new OpenStack, and what one gives a new customer."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import cast

import openstack
from openstack.connection import Connection
from openstack.identity.v3._proxy import Proxy as Keystone

from localcloud.paths import NETWORK as NETWORK_OF_MACHINES
from tests.openstack.configure import ADDRESS, KEYSTONE, PASSWORD, PORTS, REGION

FLAVOURS = {  # vCPUs, MB, GB; nobody has machines of the last one
    "l4-90": (22, 90_000, 400),
    "b2-7": (2, 7_000, 50),
    "h100-9000": (2_000, 90_000, 400),
}
IMAGE = "Debian 13"
NETWORK = "Ext-Net"
POOL = {"start": "10.77.0.128", "end": "10.77.0.254"}  # machines get the lowest address of the local cloud that is free
SERVICES = {"compute": "nova", "image": "glance", "network": "neutron", "placement": "placement"}
PATHS = {"nova": "/v2.1"}


@dataclass(frozen=True, slots=True)
class Project:
    """A customer's project, and its user's password."""

    id: str
    user: str
    password: str = field(repr=False)

    def clouds_yaml(self) -> str:
        """Write the file that a provider hands out."""
        return f"""clouds:
  stand-in:
    auth:
      auth_url: {KEYSTONE}
      username: {self.user}
      password: {self.password}
      project_id: {self.id}
      user_domain_id: default
    region_name: {REGION}
"""


def admin(project: str = "admin") -> Connection:
    """Connect as the operator."""
    auth = {"auth_url": KEYSTONE, "username": "admin", "password": PASSWORD, "project_name": project}
    domains = {"user_domain_id": "default", "project_domain_id": "default"}
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, region_name=REGION, auth=auth | domains, api_timeout=60
    )


def _keystone(cloud: Connection) -> Keystone:
    return cast(Keystone, cloud.identity)  # its older version is gone


def catalogue() -> None:
    """Register the services and their users in keystone, if they are not there."""
    identity = _keystone(admin())
    if any(service.name == "nova" for service in identity.services()):
        return
    roles = {role.name: role for role in identity.roles()}
    for role in {"service", "member", "admin"} - roles.keys():
        roles[role] = identity.create_role(name=role)
    project = identity.create_project(name="service", domain_id="default")
    for kind, name in SERVICES.items():
        user = identity.create_user(name=name, password=PASSWORD, domain_id="default", default_project_id=project.id)
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
        service = identity.create_service(name=name, type=kind)
        url = f"http://{ADDRESS}:{PORTS[name]}{PATHS.get(name, '')}"
        for interface in ("public", "internal"):
            identity.create_endpoint(service_id=service.id, interface=interface, url=url, region_id=REGION)


def goods() -> None:
    """Offer flavours, an image and a network, where they are not there."""
    cloud = admin()
    for name, (vcpus, ram, disk) in FLAVOURS.items():
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
    if not cloud.image.find_image(IMAGE):
        cloud.image.create_image(
            IMAGE,
            data=b"nothing",
            disk_format="raw",
            container_format="bare",
            visibility="public",
            allow_duplicates=True,
        )
    if cloud.network.find_network(NETWORK):
        return
    network = cloud.network.create_network(
        name=NETWORK,
        is_router_external=True,
        is_shared=True,
        provider_network_type="flat",
        provider_physical_network="outside",
    )
    cloud.network.create_subnet(
        network_id=network.id,
        cidr=str(NETWORK_OF_MACHINES),
        ip_version=4,
        is_dhcp_enabled=False,
        allocation_pools=[POOL],
    )


def await_compute() -> None:
    """Wait until nova has found its host: before that, it has no valid host for anybody."""
    compute, end = admin().compute, time.monotonic() + 120
    while not any(compute.hypervisors()):
        if time.monotonic() > end:
            raise TimeoutError("nova does not find its host: see the logs of nova-compute and nova-scheduler")
        time.sleep(1)


def project() -> Project:
    """Make a project of its own for one test."""
    cloud = admin()
    identity = _keystone(cloud)
    name, password = f"test-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    made = identity.create_project(name=name, domain_id="default")
    user = identity.create_user(name=name, password=password, domain_id="default")
    role = identity.find_role("member", ignore_missing=False)
    identity.assign_project_role_to_user(made, user, role)
    cloud.compute.update_quota_set(made.id, cores=10_000, ram=10_000_000, instances=5)
    return Project(made.id, name, password)
