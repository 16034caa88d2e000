#!/usr/bin/python
"""Tell whether there is a golden image, make it, or delete what it supersedes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import Cloud, Image
from parrotpark.cloud.arguments import CLOUDS, clouds_of
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
  - GPU hosts are created from the golden image that carries the current fingerprint; a cloud boots only its own. The
    providers' lists are the truth.
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
    description: What the name of the server that an image is, or was, made from begins with; the name of its cloud
      follows, after a hyphen.
    type: str
  server_id:
    description: Id of the server that was baked. Without it, a server of that name that a second run has just made
      could become the image in its place. With it, name one cloud.
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
    clouds: "{{ gpu_clouds }}"
    fingerprint: "{{ gpu_fingerprint.whole }}"
    parts: "{{ gpu_fingerprint.parts }}"
  register: golden_image

- name: Make it
  parrotpark_golden_image:
    clouds: "{{ gpu_clouds }}"
    fingerprint: "{{ gpu_fingerprint.whole }}"
    parts: "{{ gpu_fingerprint.parts }}"
    from_server: gpu-bake
    server_id: "{{ bake.server.id }}"
    make: true

- name: Keep no other
  parrotpark_golden_image:
    clouds: "{{ gpu_clouds }}"
    fingerprint: "{{ gpu_fingerprint.whole }}"
    from_server: gpu-bake
    prune: true
"""

RETURN = r"""
current:
  description: Whether some cloud has an image of the fingerprint; in check mode, whether one would.
  type: bool
  returned: success
missing:
  description: The clouds that have none, and in check mode would have none, as they were given.
  type: list
  returned: success
images:
  description: The ids of those images by cloud.
  type: dict
  returned: success
  sample: {gpu: "42"}
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
    "clouds": CLOUDS,
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
    fingerprint = Fingerprint(params["fingerprint"], params["parts"])
    clouds = clouds_of(params)
    found = {cloud.name: tuple(images.find(cloud)) for cloud in clouds}
    everywhere = [image for name in found for image in found[name]]
    newest = images.newest(everywhere)
    plans = {cloud.name: plan for cloud in clouds if (plan := _plan(cloud, found[cloud.name], params, fingerprint))}
    current = images.current_by_cloud(everywhere, fingerprint.whole)
    if not check:
        current |= {
            cloud.name: planning.carry_out(cloud, plans[cloud.name], fingerprint)
            for cloud in clouds
            if cloud.name in plans
        }
    have = current.keys() | plans.keys()
    return {
        "changed": any(plan.changes for plan in plans.values()),
        "current": bool(have),
        "missing": [cloud for cloud in params["clouds"] if cloud["name"] not in have],
        "images": {name: image.id for name, image in current.items()},
        "newest": newest.labels.get(FINGERPRINT) if newest else None,
        "summary": planning.describe(found, fingerprint),
        "diff": _diff(found, plans, fingerprint),
    }


def _plan(cloud: Cloud, found: Sequence[Image], params: dict[str, Any], fingerprint: Fingerprint) -> Plan | None:
    """Plan what shall happen in a cloud; None where that is nothing."""
    if not (params["make"] or params["prune"]):
        return None
    baked = bake_server.find(cloud, bake_server.name_at(params["from_server"], cloud.name))
    servers = [server for server in baked if params["server_id"] in (None, server.id)]
    return (planning.to_make if params["make"] else planning.to_finish)(found, servers, fingerprint)


def _diff(found: Mapping[str, Sequence[Image]], plans: Mapping[str, Plan], fingerprint: Fingerprint) -> dict[str, Any]:
    before, after = {}, {}
    for name, plan in plans.items():
        kept = [image for image in found[name] if image not in plan.surplus]
        made = [] if plan.image else [fingerprint.whole]
        before[name] = {"images": _fingerprints(found[name]), "servers": [server.name for server in plan.finished]}
        after[name] = {"images": sorted([*_fingerprints(kept), *made]), "servers": []}
    return {"before": before, "after": after}


def _fingerprints(images: Sequence[Image]) -> list[str]:
    return sorted(image.labels.get(FINGERPRINT, "unknown") for image in images)


if __name__ == "__main__":
    main()
