#!/usr/bin/python
"""Delete what has had no valid lease for a while, whatever has become of the entry server."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud.arguments import CLOUDS, clouds_of
from parrotpark.cloud.errors import CloudError
from parrotpark.control.sweeper import sweep
from parrotpark.fleet.errors import FleetError

DOCUMENTATION = r"""
module: parrotpark_sweep
short_description: Delete what has had no valid lease for a while
description:
  - Deletes every server whose lease ended more than a quarter of an hour ago, or that is older and has none, and every
    address and volume of that age that no server uses. The entry server does so at once; this needs nothing of it.
  - Touches nothing where a server has another role than that of a GPU host.
  - Fails if a cloud cannot be asked, or something cannot be deleted, after it has done what it could.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
extends_documentation_fragment: [parrotpark_cloud]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: End the bills that nobody else ends
  parrotpark_sweep:
    clouds:
      - { name: gpu, provider: hetzner, credential_file: ~/.config/parrotpark/gpu.token }
"""

RETURN = r"""
actions:
  description: What was deleted, or in check mode would be, and why.
  type: list
  returned: always
  sample: ["gpu-1: delete at once, its lease ended 1860 s ago"]
"""

ARGUMENTS: dict[str, dict[str, Any]] = {"clouds": CLOUDS}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        swept = sweep(clouds_of(module.params), time.time, check=module.check_mode)
    except (CloudError, FleetError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": bool(swept.actions), "actions": [str(action) for action in swept.actions]}
    if swept.troubles:
        module.fail_json(msg="\n".join(swept.troubles), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
