#!/usr/bin/python
"""Tell whether there is a golden image, make it, or delete what it supersedes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import Image
from parrotpark.cloud.arguments import ARGUMENTS as CLOUD
from parrotpark.cloud.arguments import cloud_of
from parrotpark.cloud.errors import CloudError
from parrotpark.golden import bake_server, images
from parrotpark.golden import plan as planning
from parrotpark.golden.fingerprint import Fingerprint
from parrotpark.golden.plan import Plan
from parrotpark.shared.lease import FINGERPRINT

DOCUMENTATION = r"""
module: parrotpark_golden_image
short_description: Tell whether there is a golden image, make it, or delete what it supersedes
description:
  - GPU hosts are created from the golden image that carries the current fingerprint. The provider's list is the truth.
  - Without O(make) and O(prune) it only tells whether that image exists, and what has changed if it does not.
  - With O(make) it makes the image, unless it exists, and deletes the server that it was made from. It waits for an
    image that an interrupted run began. Older images stay, as hosts are made from them until the scheduler knows of the
    new one.
  - With O(prune), if the image exists, it deletes all older golden images, and the server that an interrupted run
    left. Before the image exists it deletes nothing.
  - Only a server that the module M(parrotpark_bake_server) made from the same fingerprint becomes an image, or is
    deleted.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
extends_documentation_fragment: [parrotpark_cloud]
attributes:
  check_mode:
    support: full
    description: To O(make) an image, the server need not exist, as a check run has not made it. To
      O(prune), the image must exist.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  fingerprint:
    description: RV(ignore:whole) of what the filter P(parrotpark_fingerprint#filter) returns.
    type: str
    required: true
  parts:
    description: RV(ignore:parts) of what that filter returns, to say what has changed.
    type: dict
    default: {}
  from_server:
    description: Name of the server that the image is, or was, made from.
    type: str
  server_id:
    description: Id of the server that was baked. Without it, a server of that name that a second run has just made
      could become the image in its place.
    type: str
  make:
    description: Whether to make the image if it does not exist. The server must be fully baked.
    type: bool
    default: false
  prune:
    description: Whether to delete what the image supersedes. Nothing may be made from an older image any more.
    type: bool
    default: false
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
    server_id: "{{ bake.server.id }}"
    make: true

- name: Keep no other
  parrotpark_golden_image:
    token_file: ~/.config/parrotpark/gpu.token
    fingerprint: "{{ gpu_fingerprint.whole }}"
    from_server: gpu-bake
    prune: true
"""

RETURN = r"""
current:
  description: Whether there is an image of the fingerprint; in check mode, whether there would be.
  type: bool
  returned: success
image:
  description: Its id; null if there is none (yet).
  type: str
  returned: success
  sample: "42"
newest:
  description: The fingerprint of the image that was the newest before, current or not; null if there was none.
  type: str
  returned: success
summary:
  description: How things stood before, in one line.
  type: str
  returned: success
  sample: "stale: because models, vllm changed"
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    **CLOUD,
    "fingerprint": {"required": True},
    "parts": {"type": "dict", "default": {}},
    "from_server": {},
    "server_id": {},
    "make": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
}
RULES: dict[str, Any] = {
    "mutually_exclusive": [("make", "prune")],
    "required_if": [("make", True, ("from_server",)), ("prune", True, ("from_server",))],
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True, **RULES)
    try:
        result = run(module.params, check=module.check_mode)
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Tell, or decide and do it unless `check`, and describe it.

    Raises:
        CloudError: the cloud refused, or there is no server to make the image from.
    """
    cloud = cloud_of(params)
    fingerprint = Fingerprint(params["fingerprint"], params["parts"])
    found = images.find(cloud)
    image = images.current(found, fingerprint.whole)
    newest = images.newest(found)
    result = {
        "changed": False,
        "current": image is not None,
        "image": image.id if image else None,
        "newest": newest.labels.get(FINGERPRINT) if newest else None,
        "summary": planning.describe(found, fingerprint),
    }
    if not (params["make"] or params["prune"]):
        return result
    baked = bake_server.find(cloud, params["from_server"])
    servers = [server for server in baked if params["server_id"] in (None, server.id)]
    plan = (planning.to_make if params["make"] else planning.to_finish)(found, servers, fingerprint)
    if plan is None:
        return result
    image = plan.image if check else planning.carry_out(cloud, plan, fingerprint)
    return result | {
        "changed": plan.changes,
        "current": True,
        "image": image.id if image else None,
        "diff": _diff(found, plan, fingerprint),
    }


def _diff(images: Sequence[Image], plan: Plan, fingerprint: Fingerprint) -> dict[str, Any]:
    kept = [image for image in images if image not in plan.surplus]
    after = [*_fingerprints(kept), *([] if plan.image else [fingerprint.whole])]
    return {
        "before": {"images": _fingerprints(images), "servers": [server.name for server in plan.finished]},
        "after": {"images": sorted(after), "servers": []},
    }


def _fingerprints(images: Sequence[Image]) -> list[str]:
    return sorted(image.labels.get(FINGERPRINT, "unknown") for image in images)


if __name__ == "__main__":
    main()
