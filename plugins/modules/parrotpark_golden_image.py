#!/usr/bin/python
"""Tell whether there is a golden image, or make it of a baked server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark import golden, gpu_server
from parrotpark.cloud import PROVIDERS, Image, connect
from parrotpark.cloud.credentials import Credential, read_credential
from parrotpark.cloud.errors import CloudError
from parrotpark.fingerprint import Fingerprint
from parrotpark.golden import Plan
from parrotpark.lease import FINGERPRINT

DOCUMENTATION = r"""
module: parrotpark_golden_image
short_description: Tell whether there is a golden image, or make it of a baked server
description:
  - GPU hosts are created from the golden image that carries the current fingerprint. The provider's list is the truth.
  - Without O(from_server) it only tells whether there is that image, and what has changed where there is none.
  - With O(from_server) it makes the image, unless there is one, then deletes that server and all older golden images.
    An image that an interrupted run began is waited for.
  - Only a server that the module M(parrotpark_gpu_server) made from the same fingerprint, and that is still baking,
    becomes an image, as one that has joined holds secrets.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
attributes:
  check_mode:
    support: full
    description: The server of O(from_server) need not be there, as a run that is only checked has not made it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
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
  fingerprint:
    description: RV(ignore:whole) of what the filter P(parrotpark_fingerprint#filter) returns.
    type: str
    required: true
  parts:
    description: RV(ignore:parts) of what that filter returns, to say what has changed.
    type: dict
    default: {}
  from_server:
    description: Slot of the baked server to make the image of.
    type: str
"""

EXAMPLES = r"""
- name: Look for the golden image
  parrotpark_golden_image:
    token_file: ~/.config/parrotpark/gpu.token
    fingerprint: "{{ gpu_fingerprint.whole }}"
    parts: "{{ gpu_fingerprint.parts }}"
  register: golden_image

- name: Make it
  parrotpark_golden_image:
    token_file: ~/.config/parrotpark/gpu.token
    fingerprint: "{{ gpu_fingerprint.whole }}"
    parts: "{{ gpu_fingerprint.parts }}"
    from_server: gpu-bake
"""

RETURN = r"""
current:
  description: Whether there is an image of the fingerprint; in check mode, whether there would be.
  type: bool
  returned: success
image:
  description: Its id; null where there is none (yet).
  type: str
  returned: success
  sample: "42"
newest:
  description: The fingerprint of the newest image, whether it is the current one or not; null where there is none.
  type: str
  returned: success, without O(from_server)
says:
  description: How things stood before, in one line.
  type: str
  returned: success
  sample: "stale: because models, vllm changed"
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "provider": {"choices": list(PROVIDERS), "default": "hetzner"},
    "endpoint": {},
    "token": {"no_log": True},
    "token_file": {"type": "path", "no_log": False},
    "fingerprint": {"required": True},
    "parts": {"type": "dict", "default": {}},
    "from_server": {},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, mutually_exclusive=[("token", "token_file")])
    try:
        result = run(module.params, check=module.check_mode)
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Tell, or decide and do it unless `check`, and describe it.

    Raises:
        CloudError: the cloud refused, or there is no server to make the image of.
    """
    cloud = connect(params["provider"], _credential(params), params["endpoint"])
    fingerprint = Fingerprint(params["fingerprint"], params["parts"])
    images = golden.find(cloud)
    image = golden.current(images, fingerprint.whole)
    says = golden.says(images, fingerprint)
    if params["from_server"] is None:
        newest = images[0].labels.get(FINGERPRINT) if images else None
        return _result(image, current=image is not None, says=says) | {"newest": newest}
    plan = golden.decide(images, gpu_server.find(cloud, params["from_server"]), fingerprint)
    image = plan.image if check else golden.carry_out(cloud, plan, fingerprint)
    return _result(image, current=True, says=says) | {"changed": plan.changes, "diff": _diff(images, plan, fingerprint)}


def _credential(params: dict[str, Any]) -> Credential:
    if params["token"]:
        return Credential(params["token"], "the module's option token")
    return read_credential(params["token_file"], "HCLOUD_TOKEN", os.environ)


def _result(image: Image | None, *, current: bool, says: str) -> dict[str, Any]:
    return {"changed": False, "current": current, "image": image.id if image else None, "says": says}


def _diff(images: Sequence[Image], plan: Plan, fingerprint: Fingerprint) -> dict[str, Any]:
    before = {
        "images": sorted(image.labels.get(FINGERPRINT, "unknown") for image in images),
        "servers": [server.name for server in plan.finished],
    }
    return {"before": before, "after": {"images": [fingerprint.whole], "servers": []}}


if __name__ == "__main__":
    main()
