#!/usr/bin/python
"""Keep the server of one GPU slot."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark import gpu_server
from parrotpark.cloud import PROVIDERS, RUNNING, Place, Server, connect
from parrotpark.cloud.credentials import Credential, read_credential
from parrotpark.cloud.errors import CloudError
from parrotpark.gpu_server import Step, Verb, Wanted
from parrotpark.lease import LeaseError, State, label_value

DOCUMENTATION = r"""
module: parrotpark_gpu_server
short_description: Keep the server of one GPU slot
description:
  - Creates, adopts, renews, replaces or deletes the server that stands in a slot. The provider's list is the truth; the
    lease travels on the server's labels, with the call that creates it.
  - A server of the slot is adopted when its lease is valid and it was made from the wanted fingerprint; otherwise it is
    deleted and a new one is made. A lease of which less than half is left is renewed, and a server that is off is
    switched on.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
attributes:
  check_mode:
    support: full
    description: Also checks that the cloud has what is named.
  diff_mode:
    support: full
  idempotent:
    support: partial
    description: A lease is renewed by the first run after half of its term, so runs that are that far apart differ.
options:
  state:
    description: Whether the slot shall have a server.
    type: str
    choices: [present, absent]
    default: present
  slot:
    description: Name of the slot, which is the name of its server.
    type: str
    required: true
  provider:
    description: Whose cloud it is.
    type: str
    choices: [hetzner]
    default: hetzner
  endpoint:
    description: URL of the cloud's API. Falls back to E(HCLOUD_ENDPOINT), then to the provider's own.
    type: str
  token:
    description: Token of the project that holds the GPU hosts. Falls back to E(HCLOUD_TOKEN).
    type: str
  token_file:
    description: File with that token.
    type: path
  offers:
    description: Where the server may be created, in order of preference; the next one is tried where capacity or quota
      ends. Required unless O(state=absent).
    type: list
    elements: dict
    suboptions:
      location:
        description: Location.
        type: str
        required: true
      server_type:
        description: Server type.
        type: str
        required: true
  image:
    description: Image of a new server. Required unless O(state=absent).
    type: str
  fingerprint:
    description: Fingerprint of everything that shapes the GPU host; see the filter P(parrotpark_fingerprint#filter).
      Required unless O(state=absent).
    type: str
  maker:
    description: Who made the server. By default the name of the control machine.
    type: str
  lease_hours:
    description: How long a new or renewed lease lasts, in hours.
    type: int
    default: 12
  phase:
    description: How far the GPU host has come. Left out, a new server is V(baking) and an old one stays what it is.
    type: str
    choices: [baking, waking, serving]
  ssh_keys:
    description: Names of the project's SSH keys that a new server trusts.
    type: list
    elements: str
    default: []
  firewalls:
    description: Names of the project's firewalls that a new server is created with.
    type: list
    elements: str
    default: []
  user_data:
    description: What cloud-init does on the first boot of a new server. It is never shown.
    type: str
    default: ""
  labels:
    description: Labels besides those of the lease.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Acquire the server
  parrotpark_gpu_server:
    slot: gpu-1
    token_file: ~/.config/parrotpark/gpu.token
    offers:
      - { location: fsn1, server_type: ccx33 }
      - { location: nbg1, server_type: ccx33 }
    image: debian-13
    ssh_keys: [parrotpark]
    firewalls: [parrotpark-gpu]
    fingerprint: "{{ ['roles/base', 'roles/vllm'] | parrotpark_fingerprint(playbook_dir ~ '/..', gpu_values) }}"

- name: Delete it
  parrotpark_gpu_server:
    slot: gpu-1
    token_file: ~/.config/parrotpark/gpu.token
    state: absent
"""

RETURN = r"""
verb:
  description: What happened, or in check mode would happen.
  type: str
  returned: success
  sample: create
  choices: [create, keep, adjust, replace, delete]
reason:
  description: Why, in one line.
  type: str
  returned: success
  sample: gpu-1 has no server
server:
  description: The server that stands in the slot; empty where there is none (yet).
  type: dict
  returned: success
  sample: {id: "42", name: gpu-1, status: running, ipv4: 192.0.2.7, location: fsn1, server_type: ccx33, labels: {}}
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"choices": ["present", "absent"], "default": "present"},
    "slot": {"required": True},
    "provider": {"choices": list(PROVIDERS), "default": "hetzner"},
    "endpoint": {},
    "token": {"no_log": True},
    "token_file": {"type": "path", "no_log": False},
    "offers": {
        "type": "list",
        "elements": "dict",
        "options": {"location": {"required": True}, "server_type": {"required": True}},
    },
    "image": {},
    "fingerprint": {},
    "maker": {},
    "lease_hours": {"type": "int", "default": 12},
    "phase": {"choices": list(State)},
    "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "firewalls": {"type": "list", "elements": "str", "default": []},
    "user_data": {"default": "", "no_log": True},
    "labels": {"type": "dict", "default": {}},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        ARGUMENTS,
        supports_check_mode=True,
        mutually_exclusive=[("token", "token_file")],
        required_if=[("state", "present", ("offers", "image", "fingerprint"))],
    )
    try:
        result = run(module.params, check=module.check_mode)
    except (CloudError, LeaseError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Decide, do it unless `check`, and describe it.

    Raises:
        CloudError: the cloud refused.
        LeaseError: a value cannot stand on a label.
    """
    cloud = connect(params["provider"], _credential(params), params["endpoint"])
    found = gpu_server.find(cloud, params["slot"])
    wanted = _wanted(params) if params["state"] == "present" else None
    if wanted is None:
        step = gpu_server.decide_absent(found, params["slot"])
    else:
        step = gpu_server.decide_present(found, wanted, int(time.time()))
        gpu_server.check(cloud, step, wanted)
    server = step.keep if check else gpu_server.carry_out(cloud, step, wanted)
    return {
        "changed": step.verb is not Verb.KEEP,
        "verb": step.verb.value,
        "reason": step.reason,
        "server": {} if server is None else asdict(server),
        "diff": _diff(step, wanted),
    }


def _credential(params: dict[str, Any]) -> Credential:
    if params["token"]:
        return Credential(params["token"], "the module's option token")
    return read_credential(params["token_file"], "HCLOUD_TOKEN", os.environ)


def _wanted(params: dict[str, Any]) -> Wanted:
    return Wanted(
        slot=params["slot"],
        places=tuple(Place(**offer) for offer in params["offers"]),
        image=params["image"],
        maker=params["maker"] or label_value(platform.node()),
        fingerprint=params["fingerprint"],
        term=params["lease_hours"] * 3600,
        state=State(params["phase"]) if params["phase"] else None,
        ssh_keys=tuple(params["ssh_keys"]),
        firewalls=tuple(params["firewalls"]),
        user_data=params["user_data"],
        labels={key: str(value) for key, value in params["labels"].items()},
    )


def _diff(step: Step, wanted: Wanted | None) -> dict[str, Any]:
    before = {server.name: _shown(server) for server in (*step.delete, *filter(None, [step.keep]))}
    after: dict[str, Any] = {}
    if step.keep is not None:
        after[step.keep.name] = {**_shown(step.keep), "status": RUNNING, "labels": dict(step.labels)}
    elif wanted is not None:
        places = [str(place) for place in wanted.places]
        after[wanted.slot] = {"image": wanted.image, "offers": places, "status": RUNNING, "labels": dict(step.labels)}
    return {"before": before, "after": after}


def _shown(server: Server) -> dict[str, Any]:
    place = Place(server.location, server.server_type)
    return {"image": server.image, "offers": [str(place)], "status": server.status, "labels": dict(server.labels)}


if __name__ == "__main__":
    main()
