#!/usr/bin/python
"""Make what servers are created with: an SSH key and a firewall in every cloud."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import Furnishing, Rule, SeveralClouds
from parrotpark.cloud.arguments import CLOUDS, clouds_of
from parrotpark.cloud.errors import CloudError

DOCUMENTATION = r"""
module: parrotpark_cloud_project
short_description: Make what servers are created with, an SSH key and a firewall in every cloud
description:
  - Uploads the SSH key, and keeps one firewall (security group) with the given inbound rules. Nothing else of the
    projects is touched.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
extends_documentation_fragment: [parrotpark_cloud]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  ssh_key_name:
    description: Name of the SSH key.
    type: str
    required: true
  ssh_public_key:
    description: The public key in OpenSSH notation.
    type: str
    required: true
  firewall_name:
    description: Name of the firewall.
    type: str
    required: true
  firewall_rules:
    description: What may come in. Everything else is dropped; going out, everything is allowed.
    type: list
    elements: dict
    required: true
    suboptions:
      protocol:
        description: Protocol of the rule.
        type: str
        required: true
        choices: [tcp, udp, icmp]
      port:
        description: Port, or range such as V(8000-8010). Left out for V(icmp).
        type: str
      source_ips:
        description: Networks in CIDR notation that may connect.
        type: list
        elements: str
        required: true
"""

EXAMPLES = r"""
- name: Make what servers are created with
  parrotpark_cloud_project:
    clouds:
      - { name: entry, provider: hetzner, credential_file: ~/.config/parrotpark/entry.token }
    ssh_key_name: deploy
    ssh_public_key: ssh-ed25519 AAAA… deploy
    firewall_name: web
    firewall_rules:
      - { protocol: tcp, port: "443", source_ips: [0.0.0.0/0] }
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, in one line each.
  type: list
  returned: success
  sample: ["entry: firewall web made"]
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "clouds": CLOUDS,
    "ssh_key_name": {"required": True, "no_log": False},
    "ssh_public_key": {"required": True, "no_log": False},
    "firewall_name": {"required": True},
    "firewall_rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "protocol": {"required": True, "choices": ["tcp", "udp", "icmp"]},
            "port": {},
            "source_ips": {"type": "list", "elements": "str", "required": True},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    rules = (Rule(rule["protocol"], rule["port"], tuple(rule["source_ips"])) for rule in params["firewall_rules"])
    wanted = Furnishing(params["ssh_key_name"], params["ssh_public_key"], params["firewall_name"], tuple(rules))
    try:
        changes = SeveralClouds(clouds_of(params)).furnish(wanted, check=module.check_mode)
    except CloudError as error:
        module.fail_json(msg=str(error))
    after = "".join(f"{change}\n" for change in changes)
    module.exit_json(changed=bool(changes), changes=changes, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()
