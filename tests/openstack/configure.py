"""The configuration of each OpenStack service, as small as it can be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# A loopback address of its own, so that all may have their usual ports.
ADDRESS = os.environ.get("OPENSTACK_ADDRESS", "127.76.76.1")
PASSWORD = "parrotpark"  # of everything: nothing but this machine can reach it
REGION = "RegionOne"
PORTS = {"keystone": 5000, "placement": 8778, "glance": 9292, "nova": 8774, "neutron": 9696}
DATABASES = ("keystone", "placement", "glance", "neutron", "nova", "nova_api", "nova_cell0")
MARIADB, RABBITMQ, EPMD = 3306, 5672, 14369
QUEUE = f"rabbit://guest:guest@{ADDRESS}:{RABBITMQ}/"
KEYSTONE = f"http://{ADDRESS}:{PORTS['keystone']}/v3"


def database(name: str) -> str:
    """Return the address of a database."""
    return f"mysql+pymysql://openstack:{PASSWORD}@{ADDRESS}:{MARIADB}/{name}?charset=utf8"


def _as(user: str) -> str:
    return f"""auth_type = password
auth_url = {KEYSTONE}
username = {user}
password = {PASSWORD}
project_name = service
user_domain_id = default
project_domain_id = default
region_name = {REGION}
"""


def _token(user: str) -> str:
    return f"[keystone_authtoken]\nwww_authenticate_uri = {KEYSTONE}\nservice_token_roles_required = true\n{_as(user)}"


def files(venv: Path, state: Path) -> Mapping[str, str]:
    """Return each file's text, by its path in the folder of configurations."""
    return {
        "keystone/keystone.conf": f"""[database]
connection = {database("keystone")}
max_pool_size = 2
[token]
provider = fernet
[fernet_tokens]
key_repository = {state}/fernet
[credential]
key_repository = {state}/credential
[oslo_policy]
policy_file = {state}/none.yaml
""",
        "placement/placement.conf": f"""[placement_database]
connection = {database("placement")}
max_pool_size = 2
[api]
auth_strategy = keystone
{_token("placement")}""",
        "glance/glance-api.conf": f"""[DEFAULT]
enabled_backends = fs:file
[database]
connection = {database("glance")}
max_pool_size = 2
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {state}/images
[os_glance_tasks_store]
filesystem_store_datadir = {state}/tasks
[os_glance_staging_store]
filesystem_store_datadir = {state}/staging
[paste_deploy]
flavor = keystone
config_file = {venv}/etc/glance/glance-api-paste.ini
{_token("glance")}""",
        "neutron/neutron.conf": f"""[DEFAULT]
core_plugin = ml2
service_plugins = router
transport_url = {QUEUE}
api_paste_config = {venv}/etc/neutron/api-paste.ini
state_path = {state}/neutron
notify_nova_on_port_status_changes = true
dhcp_agent_notification = false
api_workers = 1
rpc_workers = 0
[database]
connection = {database("neutron")}
max_pool_size = 4
[oslo_concurrency]
lock_path = {state}/locks
[nova]
{_as("nova")}
[ml2]
type_drivers = flat,local
tenant_network_types = local
mechanism_drivers = parrotpark
extension_drivers = port_security
[ml2_type_flat]
flat_networks = *
{_token("neutron")}""",
        "nova/nova.conf": f"""[DEFAULT]
transport_url = {QUEUE}
compute_driver = parrotpark_compute.Machines
state_path = {state}/nova
host = compute
my_ip = {ADDRESS}
rpc_response_timeout = 20
graceful_shutdown_timeout = 3
[api_database]
connection = {database("nova_api")}
max_pool_size = 3
[database]
connection = {database("nova")}
max_pool_size = 3
[service_user]
send_service_user_token = true
{_as("nova")}
[placement]
{_as("placement")}
[glance]
api_servers = http://{ADDRESS}:{PORTS["glance"]}
[neutron]
{_as("neutron")}
[vnc]
enabled = false
[compute]
heal_instance_info_cache_interval = 5
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 5
[conductor]
workers = 1
[wsgi]
api_paste_config = {venv}/etc/nova/api-paste.ini
[oslo_concurrency]
lock_path = {state}/locks
{_token("nova")}""",
    }
