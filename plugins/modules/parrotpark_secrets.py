#!/usr/bin/python
"""Documents the action plugin of the same name, which needs the vault password of this run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parrotpark_secrets
short_description: Make the secrets that are missing
description:
  - Fills the gaps in C(<state_dir>/secrets.yml), a file encrypted with the vault password of this run, and leaves every
    existing secret as it is, even under unknown names. C(parrotpark.control.secrets.catalogue) lists all names.
  - Writes what C(ssh) needs to C(<state_dir>/ssh/), namely the deploy key C(id_ed25519), C(id_ed25519.pub) and
    C(known_hosts). Lines of C(known_hosts) for other names stay.
  - Runs on the control machine and returns no secret.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    description: Shows names, never values.
  idempotent:
    support: full
options:
  state_dir:
    description: Folder for the secrets; it is made, for its owner only.
    type: path
    required: true
  slots:
    description: Number of GPU slots that need keys.
    type: int
    required: true
  entry_names:
    description: Names and addresses under which C(ssh) knows the entry server, for C(known_hosts).
    type: list
    elements: str
    required: true
  bake_names:
    description: Names under which C(ssh) knows the server that a golden image is baked on.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make the secrets that are missing
  parrotpark_secrets:
    state_dir: /var/lib/parrotpark/local
    slots: 1
    entry_names: [entry, 192.0.2.10]
    bake_names: [gpu-bake]
"""

RETURN = r"""
made:
  description: Names of the variables that were made.
  type: list
  elements: str
  returned: success
  sample: [vault_vllm_api_key]
files:
  description: Names of the files in C(ssh/) that were written.
  type: list
  elements: str
  returned: success
  sample: [known_hosts]
planned:
  description: In check mode, values for the missing variables, by name, and for missing keys of dictionaries. A real
    run would make others. Otherwise it is empty.
  type: dict
  returned: success
"""
