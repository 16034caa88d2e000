#!/usr/bin/python
"""Make the servers that golden images are baked on."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import RUNNING, Account, Cloud, Server, connect
from parrotpark.cloud.arguments import CLOUDS, OFFERS, accounts_of, offers_of
from parrotpark.cloud.errors import CloudError
from parrotpark.golden import bake_server
from parrotpark.golden.bake_server import HOUR, BeingBaked, Plan, Wanted
from parrotpark.shared.lease import LeaseError, label_value

DOCUMENTATION = r"""
module: parrotpark_bake_server
short_description: Make the servers that golden images are baked on, one in each cloud
description:
  - Always creates new servers. A golden image is baked in one go, as a host that has been sealed lets nobody in; so a
    server that an interrupted run has left is deleted first. The provider's list is the truth; the lease travels on the
    server's labels, with the call that creates it.
  - Fails if the lease of another maker is valid, as that one is baking right now.
  - A cloud in which no server can be made now is named in a warning, as long as there is one in another cloud, or
    O(optional) says that one can do without.
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
    description: What their names begin with; the name of the cloud follows, after a hyphen.
    type: str
    required: true
  optional:
    description: Whether it is enough to warn if no server can be made anywhere, as hosts can be created elsewhere.
    type: bool
    default: false
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
- name: Make servers to bake on
  parrotpark_bake_server:
    name: gpu-bake
    clouds:
      - { name: gpu, provider: hetzner, credential_file: ~/.config/parrotpark/gpu.token, image: debian-13 }
    offers:
      - { cloud: gpu, location: fsn1, server_type: ccx33 }
      - { cloud: gpu, location: nbg1, server_type: ccx33 }
    ssh_keys: [parrotpark]
    firewalls: [parrotpark-gpu]
    fingerprint: "{{ gpu_fingerprint.whole }}"
"""

RETURN = r"""
reasons:
  description: Why each was made, or in check mode would be, in one line each.
  type: list
  returned: success
  sample: [there is no server gpu-bake-gpu]
servers:
  description: The new servers; none in check mode.
  type: list
  returned: success
  sample: [{id: "42", name: gpu-bake-gpu, cloud: gpu, status: running, ipv4: 192.0.2.7, location: fsn1, labels: {}}]
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"required": True},
    "clouds": CLOUDS,
    "offers": OFFERS,
    "optional": {"type": "bool", "default": False},
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
    for trouble in result.pop("troubles"):
        module.warn(trouble)
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Decide for every cloud, do it unless `check`, and describe it.

    Raises:
        CloudError: a cloud could never make such a server, another control machine is baking, or no cloud can make one
            now.
        LeaseError: a value cannot be a label.
    """
    plans = [_plan(account, params, check=check) for account in accounts_of(params)]
    servers: list[Server] = []
    troubles: list[CloudError] = []
    for cloud, plan, wanted in () if check else plans:
        try:
            servers.append(bake_server.carry_out(cloud, plan, wanted))
        except BeingBaked:
            raise
        except CloudError as error:
            troubles.append(error)
    if troubles and not servers and not params["optional"]:
        raise troubles[0] if len(troubles) == 1 else CloudError("; ".join(map(str, troubles)))
    return {
        "changed": check or bool(servers),
        "reasons": [plan.reason for _, plan, _ in plans],
        "servers": [asdict(server) for server in servers],
        "troubles": [f"no golden image is baked now: {trouble}" for trouble in troubles],
        "diff": _diff([(plan, wanted) for _, plan, wanted in plans]),
    }


def _plan(account: Account, params: dict[str, Any], *, check: bool) -> tuple[Cloud, Plan, Wanted]:
    cloud, wanted = connect(account), _wanted(account, params)
    plan = bake_server.decide(bake_server.find(cloud, wanted.name), wanted, int(time.time()))
    # A check run has not made the key and the firewall either.
    bake_server.check(cloud, plan, replace(wanted, ssh_keys=(), firewalls=()) if check else wanted)
    return cloud, plan, wanted


def _wanted(account: Account, params: dict[str, Any]) -> Wanted:
    return Wanted(
        name=bake_server.name_at(params["name"], account.name),
        offers=tuple(offer for offer in offers_of(params) if offer.cloud == account.name),
        image=account.image or "",
        maker=params["maker"] or label_value(platform.node()),
        fingerprint=params["fingerprint"],
        term=params["lease_hours"] * HOUR,
        ssh_keys=tuple(params["ssh_keys"]),
        firewalls=tuple(params["firewalls"]),
        user_data=params["user_data"],
    )


def _diff(plans: Sequence[tuple[Plan, Wanted]]) -> dict[str, Any]:
    return {
        "before": {server.name: _shown(server) for plan, _ in plans for server in plan.delete},
        "after": {
            wanted.name: {
                "image": wanted.image,
                "offers": [str(offer) for offer in wanted.offers],
                "status": RUNNING,
                "labels": dict(plan.labels),
            }
            for plan, wanted in plans
        },
    }


def _shown(server: Server) -> dict[str, Any]:
    return {
        "image": server.image,
        "offers": [str(server.offer)],
        "status": server.status,
        "labels": dict(server.labels),
    }


if __name__ == "__main__":
    main()
