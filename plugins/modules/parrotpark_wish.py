#!/usr/bin/python
"""Documents the action plugin of the same name, which shows on the control machine what happens on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parrotpark_wish
short_description: Bring the GPU hosts to a wish, and show how
description:
  - Runs C(parrotpark wake) or C(parrotpark sleep) on the entry server, and shows its progress line by line.
  - The program runs as a transient systemd unit, C(parrotpark-wish-<wish>), and writes to
    C(/run/parrotpark/parrotpark-wish-<wish>.log). It goes on when the control machine or the connection dies. A second
    run with the same wish follows the unit under way, and returns what that one did.
  - The program bounds how long it may take, namely by C(ready_seconds) of its configuration.
  - Needs root, and systemd 254 or newer on the host.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    description: Shows the actions.
  idempotent:
    support: full
options:
  wish:
    description: The wish, V(asleep), V(awake) or C(awake N) for that many hosts.
    type: str
    required: true
  program:
    description: The program C(parrotpark) on the host.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Let two GPU hosts serve
  parrotpark_wish:
    wish: awake 2
    program: /usr/local/sbin/parrotpark
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: success
  sample: ["gpu-1: create from the golden image", "gpu-1: it serves"]
"""
