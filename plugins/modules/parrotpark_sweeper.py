#!/usr/bin/python
"""Let this machine sweep the projects of the GPU hosts, too, by a timer of its systemd."""

from __future__ import annotations

import os
import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud.arguments import CLOUDS, accounts_of
from parrotpark.control.sweeper_timer import Manager, SweeperTimer, TimerError

DOCUMENTATION = r"""
module: parrotpark_sweeper
short_description: Let this machine sweep the projects of the GPU hosts, too
description:
  - Makes a systemd timer that deletes every ten minutes what M(parrotpark_sweep) would delete, and lets it do so once;
    fails if it cannot. Root gets a timer of the system, anybody else one of their own.
  - The timer runs what is in this checkout, with the credentials in the files that O(clouds) names.
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
options:
  inventory:
    description: Name of the inventory; each has a timer of its own.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Sweep from here, too
  parrotpark_sweeper:
    inventory: production
    clouds:
      - { name: gpu, provider: hetzner, credential_file: ~/.config/parrotpark/gpu.token }
"""

RETURN = r"""
advice:
  description: What else there is to do, empty if nothing.
  type: str
  returned: success
  sample: ""
unit:
  description: Name of the timer and of its service.
  type: str
  returned: success
  sample: parrotpark-sweeper-production
"""

ARGUMENTS: dict[str, dict[str, Any]] = {"clouds": CLOUDS, "inventory": {"type": "str", "required": True}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    timer = SweeperTimer(module.params["inventory"], Manager.own())
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    try:
        changed = timer.install(accounts_of(module.params), sys.executable, bundle, check=module.check_mode)
        advice = "" if module.check_mode else timer.linger()
    except (TimerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, unit=timer.unit, advice=advice)


if __name__ == "__main__":
    main()
