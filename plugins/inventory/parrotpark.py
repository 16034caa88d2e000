"""Hosts of Parrotpark by the labels of their servers."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.template import trust_as_template
from ansible.utils.display import Display

from parrotpark.cloud import Server
from parrotpark.cloud.errors import CloudError
from parrotpark.inventory import CloudConfig, Host, hosts, list_servers

DOCUMENTATION = r"""
name: parrotpark
short_description: Hosts of Parrotpark by the labels of their servers
description:
  - Asks one or more cloud projects for the servers that carry the label C(parrotpark-role), one API call for each
    project and each 50 servers.
  - Every server becomes a host of its own name, in the groups C(<role>) (V(entry) or V(gpu)), C(slot_<slot>),
    C(state_<state>) and C(location_<location>), with C(-) written as C(_).
  - Its address is C(ansible_host); everything else the cloud says is the dictionary C(parrotpark_server) with the keys
    C(id), C(name), C(status), C(provider), C(location), C(server_type), C(image), C(ipv4), C(ipv6), C(labels), C(role),
    C(slot) and C(state). O(compose), O(groups) and O(keyed_groups) may use them.
  - A cloud that is not there yet, because its token file does not exist or nothing answers, has no hosts; one warning
    says so, and the playbooks can create it. A cloud that refuses, for instance a wrong token, is an error.
author: Parrotpark
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: Marks the file as a configuration of this plugin. Its name must end with C(parrotpark.yml).
    required: true
    choices: [parrotpark]
  clouds:
    description: The projects to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      provider:
        description: Whose API it is.
        type: str
        required: true
        choices: [hetzner]
      endpoint:
        description: URL of the API. Falls back to E(HCLOUD_ENDPOINT), then to the provider's own.
        type: str
      token_file:
        description: File with the project's token.
        type: path
      token_env:
        description: Environment variable with the project's token, instead of O(clouds[].token_file).
        type: str
  ssh_directory:
    description: Folder with the deploy key C(id_ed25519) and with C(known_hosts). Hosts then get the variables to be
      reached with them, GPU hosts through the entry server. A relative path starts at the configuration file.
    # As a path Ansible would let it start at the current folder.
    type: str
"""

EXAMPLES = r"""
# inventories/production/parrotpark.yml
plugin: parrotpark
clouds:
  - provider: hetzner
    token_file: ~/.config/parrotpark/entry.token
  - provider: hetzner
    token_env: HCLOUD_TOKEN_GPU
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


# Playbooks name them while they are empty, too; the last one is filled by the run that bakes.
GROUPS = ("entry", "gpu", "bake")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Feeds the servers that `parrotpark.inventory` lists into Ansible's inventory."""

    NAME = "parrotpark"

    def verify_file(self, path: str) -> bool:
        return path.endswith(("parrotpark.yml", "parrotpark.yaml")) and Path(path).is_file()

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for group in GROUPS:
            inventory.add_group(group)
        try:
            servers = self._servers(path, use_cache=cache and self.get_option("cache"))
            for host in hosts(servers, self._ssh_directory(path)):
                self._add(inventory, host)
        except CloudError as error:
            raise AnsibleParserError(str(error)) from None

    def _ssh_directory(self, path: str) -> Path | None:
        given = self.get_option("ssh_directory")
        return None if given is None else Path(path).absolute().parent / Path(given).expanduser()

    def _servers(self, path: str, *, use_cache: bool) -> list[Server]:
        key = self.get_cache_key(path)
        if use_cache and key in self._cache:
            return [Server(**values) for values in self._cache[key]]
        configs = [CloudConfig.parse(values) for values in self.get_option("clouds")]
        listing = list_servers(configs, os.environ)
        if listing.absent:
            Display().warning(
                f"no hosts from a cloud that is not there yet: {'; '.join(dict.fromkeys(listing.absent))}"
            )
        elif self.get_option("cache"):
            self._cache[key] = [asdict(server) for server in listing.servers]
        return list(listing.servers)

    def _add(self, inventory: InventoryData, host: Host) -> None:
        inventory.add_host(host.name)
        for group in host.groups:
            inventory.add_group(group)
            inventory.add_host(host.name, group)
        for name, value in host.variables.items():
            # Texts are what `parrotpark.ssh` has checked. Those that read the inventory as JSON get others wrapped.
            inventory.set_variable(host.name, name, trust_as_template(value) if isinstance(value, str) else value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), host.variables, host.name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), host.variables, host.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), host.variables, host.name, strict)
