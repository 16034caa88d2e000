#!/usr/bin/python
"""Documents the action plugin of the same name, which reads the inventory and the variables of this run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parrotpark_preflight
short_description: Refuse inputs that are missing, mistyped, unknown or in the wrong place
description:
  - Judges the inventory before anything is touched, and names every problem with its fix, one per line.
  - A role variable in C(group_vars) or C(host_vars) of the inventory is refused, because the wiring in
    C(playbooks/group_vars) would silently win over it.
  - A C(parrotpark_*) name that is not in the schema is refused, also as an extra variable.
  - An input's old name is refused, with the new one. A version newer than the one that the inventory was checked for,
    which C(parrotpark_checked_version) names, is refused with what changed since.
  - The inputs are validated against the schema as Ansible validates a role's arguments. Their defaults come from the
    inventory plugin.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  schema:
    description: The schema of the inputs, a file in the format of C(meta/argument_specs.yml).
    type: path
    required: true
  renamed:
    description: File that maps old names of inputs to new ones.
    type: path
    required: true
  changelog:
    description: File that says for every version whom it affects; its newest version is the one that runs.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Refuse inputs that are missing, mistyped or in the wrong place
  parrotpark_preflight:
    schema: "{{ playbook_dir }}/../inventories/inputs.yml"
    renamed: "{{ playbook_dir }}/../inventories/renamed.yml"
    changelog: "{{ playbook_dir }}/../CHANGELOG.md"
"""
