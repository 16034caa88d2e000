"""Parrotpark's hosts, found by the labels of their servers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ansible.context import CLIARGS
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import get_file_vault_secret
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.template import trust_as_template
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from parrotpark.cloud import Server
from parrotpark.cloud.errors import CloudError
from parrotpark.control import preflight
from parrotpark.control.inventory import BOXES, HELPERS, TOGETHER, Host, Settings, boxes, hosts, list_servers
from parrotpark.control.secrets import SECRETS_FILE, vault_password
from parrotpark.control.secrets.catalogue import SecretsError

DOCUMENTATION = r"""
name: parrotpark
short_description: Parrotpark's hosts, found by the labels of their servers
description:
  - Asks one or more clouds for the servers that carry the label C(parrotpark-role), one API call for each cloud and
    each 50 servers.
  - Every server becomes a host of its own name, in the groups C(<role>) (V(entry) or V(gpu)), C(slot_<slot>),
    C(state_<state>), C(cloud_<cloud>) and C(location_<location>), with C(-) written as C(_).
  - Its address is C(ansible_host); all else the cloud says is in the dictionary C(parrotpark_server) with the keys
    C(id), C(name), C(status), C(cloud), C(location), C(server_type), C(image), C(ipv4), C(ipv6), C(labels), C(role),
    C(slot) and C(state). O(compose), O(groups) and O(keyed_groups) may use them.
  - Which clouds those are, and with which keys hosts are reached, is not written down a second time. It follows from
    the inputs that create the servers, C(parrotpark_clouds) and C(parrotpark_state_dir), as the C(group_vars/all)
    beside the configuration and extra variables set them.
  - Machines that are always there, the hosts of clouds with the provider V(static), are in the group C(gpu_static).
    Ansible gets there directly; what C(parrotpark_clouds) says of one is its dictionary C(parrotpark_box). Those that
    help one of them are in C(gpu_helper), and all that compute together in C(gpu_ray) as well.
  - The inputs that nobody sets have the defaults of C(inventories/inputs.yml). It gives them to the group C(all) as
    variables of the inventory itself, over which C(group_vars/all) and everything else win.
  - A cloud that cannot be asked ends the command. With a warning instead, a run would find no hosts, skip everything
    and end as if it had done its work.
  - Unless Ansible was given a vault password, it also gives the one in C(parrotpark_vault_password_file) to Ansible.
    Where neither it nor secrets are there yet, it makes one, but not in check mode.
author: Parrotpark
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: Marks the file as a configuration of this plugin. Its name must end with C(parrotpark.yml).
    required: true
    choices: [parrotpark]
"""

EXAMPLES = r"""
# inventories/production/parrotpark.yml
plugin: parrotpark
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/parrotpark
cache_timeout: 60
keyed_groups:
  - key: parrotpark_server.server_type
    prefix: type
compose:
  ansible_user: "'root'"
"""


# Playbooks name them even while they are empty; the third one is filled by the run that bakes.
GROUPS = ("entry", "gpu", "bake", BOXES, HELPERS, TOGETHER)
INPUTS = Path(__file__).parents[2] / "inventories/inputs.yml"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Feeds the servers that `parrotpark.control.inventory` lists into Ansible's inventory."""

    NAME = "parrotpark"

    def verify_file(self, path: str) -> bool:
        return path.endswith(("parrotpark.yml", "parrotpark.yaml")) and Path(path).is_file()

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        # Ansible sets it for hosts only; before the first run there are none, but localhost reads the inputs, too.
        inventory.set_variable("all", "inventory_dir", str(Path(path).absolute().parent))
        schema = preflight.options_of(loader.load_from_file(str(INPUTS), trusted_as_template=True))
        for name, value in preflight.defaults_of(schema).items():
            inventory.set_variable("all", name, value)
        for group in GROUPS:
            inventory.add_group(group)
        if CLIARGS.get("syntax"):
            return  # A syntax check asks nobody, and works before there is a cloud.
        try:
            settings = Settings.read(self._input(inventory, loader, path))
            self._give_vault_password(loader, settings)
            servers = self._servers(path, settings, use_cache=cache and self.get_option("cache"))
            made = hosts(servers, settings.state_dir / "ssh")
            for host in (*made, *boxes(settings.clouds, settings.state_dir / "ssh", [host.name for host in made])):
                self._add(inventory, host)
        except (CloudError, SecretsError) as error:
            # After an exception Ansible would try other plugins, and bury this line among theirs.
            Display().error(str(error), wrap_text=False)
            sys.exit(1)

    def _input(self, inventory: InventoryData, loader: DataLoader, path: str) -> Callable[[str], object]:
        """Give inputs as plays will see them."""
        variables = get_vars_from_inventory_sources(loader, [path], [inventory.groups["all"]], "task")
        known = inventory.groups["all"].get_vars()
        self.templar.available_variables = {**known, **variables, **load_extra_vars(loader)}
        return lambda name: self.templar.template(self.templar.available_variables.get(name))

    def _give_vault_password(self, loader: DataLoader, settings: Settings) -> None:
        file, secrets = settings.vault_password_file, loader._vault.secrets
        if secrets:
            return
        if not (file.exists() or (settings.state_dir / SECRETS_FILE).exists() or CLIARGS.get("check")):
            vault_password.make(file)
        if file.exists():
            secret = get_file_vault_secret(filename=str(file), loader=loader)
            secret.load()
            secrets.append(("default", secret))

    def _servers(self, path: str, settings: Settings, *, use_cache: bool) -> list[Server]:
        key = self.get_cache_key(path)
        if use_cache and key in self._cache:
            return [Server(**values) for values in self._cache[key]]
        servers = list_servers(settings.clouds)
        if self.get_option("cache"):
            self._cache[key] = [asdict(server) for server in servers]
        return list(servers)

    def _add(self, inventory: InventoryData, host: Host) -> None:
        inventory.add_host(host.name)
        for group in host.groups:
            inventory.add_group(group)
            inventory.add_host(host.name, group)
        for name, value in host.variables.items():
            # Strings are what `control.ssh` has checked. Programs that read the inventory as JSON get others wrapped.
            inventory.set_variable(host.name, name, trust_as_template(value) if isinstance(value, str) else value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), host.variables, host.name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), host.variables, host.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), host.variables, host.name, strict)
