#!/usr/bin/python
"""Make the server that a golden image is baked on."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import RUNNING, Offer, Server
from parrotpark.cloud.arguments import ARGUMENTS as CLOUD
from parrotpark.cloud.arguments import OFFERS, cloud_of
from parrotpark.cloud.errors import CloudError
from parrotpark.golden import bake_server
from parrotpark.golden.bake_server import HOUR, Plan, Wanted
from parrotpark.shared.lease import LeaseError, label_value

DOCUMENTATION = r"""
module: parrotpark_bake_server
short_description: Make the server that a golden image is baked on
description:
  - Always creates a new server. A golden image is baked in one go, as a host that has been sealed lets nobody in; so a
    server that an interrupted run has left is deleted first. The provider's list is the truth; the lease travels on the
    server's labels, with the call that creates it.
  - Fails if the lease of another maker is valid, as that one is baking right now.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
extends_documentation_fragment: [parrotpark_cloud, parrotpark_cloud.offers]
attributes:
  check_mode:
    support: full
    description: Also checks that the cloud has what is named, except SSH keys and firewalls, which a check run has not
      made either.
  diff_mode:
    support: full
  idempotent:
    support: none
    description: Every run makes a new server; ask the module M(parrotpark_golden_image) whether one is needed.
options:
  name:
    description: Name of the server.
    type: str
    required: true
  image:
    description: Image that it is made from.
    type: str
    required: true
  fingerprint:
    description: Fingerprint of everything that shapes the golden image; see the filter
      P(parrotpark_fingerprint#filter).
    type: str
    required: true
  maker:
    description: Who bakes. By default the name of the control machine, so that a second run there replaces what the
      first one has left.
    type: str
  lease_hours:
    description: How long the bake may take, in hours, at most 3, as the host then switches itself off. After that
      anybody may delete the server.
    type: int
    default: 3
  ssh_keys:
    description: Names of the project's SSH keys that the server trusts.
    type: list
    elements: str
    default: []
  firewalls:
    description: Names of the project's firewalls that the server is created with.
    type: list
    elements: str
    default: []
  user_data:
    description: What cloud-init does on the first boot. It is never shown.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make a server to bake on
  parrotpark_bake_server:
    name: gpu-bake
    token_file: ~/.config/parrotpark/gpu.token
    offers:
      - { location: fsn1, server_type: ccx33 }
      - { location: nbg1, server_type: ccx33 }
    image: debian-13
    ssh_keys: [parrotpark]
    firewalls: [parrotpark-gpu]
    fingerprint: "{{ gpu_fingerprint.whole }}"
"""

RETURN = r"""
reason:
  description: Why it was made, or in check mode would be, in one line.
  type: str
  returned: success
  sample: there is no server gpu-bake
server:
  description: The new server; empty in check mode.
  type: dict
  returned: success
  sample: {id: "42", name: gpu-bake, status: running, ipv4: 192.0.2.7, location: fsn1, server_type: ccx33, labels: {}}
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"required": True},
    **CLOUD,
    "offers": OFFERS,
    "image": {"required": True},
    "fingerprint": {"required": True},
    "maker": {},
    "lease_hours": {"type": "int", "default": 3},
    "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "firewalls": {"type": "list", "elements": "str", "default": []},
    "user_data": {"default": "", "no_log": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, check=module.check_mode)
    except (CloudError, LeaseError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Decide, do it unless `check`, and describe it.

    Raises:
        CloudError: the cloud refused, or another control machine is baking.
        LeaseError: a value cannot be a label.
    """
    cloud = cloud_of(params)
    wanted = _wanted(params)
    plan = bake_server.decide(bake_server.find(cloud, wanted.name), wanted, int(time.time()))
    # A check run has not made the key and the firewall either.
    bake_server.check(cloud, plan, replace(wanted, ssh_keys=(), firewalls=()) if check else wanted)
    server = None if check else bake_server.carry_out(cloud, plan, wanted)
    return {
        "changed": True,
        "reason": plan.reason,
        "server": {} if server is None else asdict(server),
        "diff": _diff(plan, wanted),
    }


def _wanted(params: dict[str, Any]) -> Wanted:
    return Wanted(
        name=params["name"],
        offers=tuple(Offer(**offer) for offer in params["offers"]),
        image=params["image"],
        maker=params["maker"] or label_value(platform.node()),
        fingerprint=params["fingerprint"],
        term=params["lease_hours"] * HOUR,
        ssh_keys=tuple(params["ssh_keys"]),
        firewalls=tuple(params["firewalls"]),
        user_data=params["user_data"],
    )


def _diff(plan: Plan, wanted: Wanted) -> dict[str, Any]:
    offers = [str(offer) for offer in wanted.offers]
    new = {"image": wanted.image, "offers": offers, "status": RUNNING, "labels": dict(plan.labels)}
    return {"before": {server.name: _shown(server) for server in plan.delete}, "after": {wanted.name: new}}


def _shown(server: Server) -> dict[str, Any]:
    offer = Offer(server.location, server.server_type)
    return {"image": server.image, "offers": [str(offer)], "status": server.status, "labels": dict(server.labels)}


if __name__ == "__main__":
    main()
