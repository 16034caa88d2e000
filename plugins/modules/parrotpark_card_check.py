#!/usr/bin/python
"""Refuse GPU hosts whose cards could not serve the models, before anything is touched."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud.arguments import OFFERS, accounts_of
from parrotpark.cloud.errors import CloudError
from parrotpark.control.models import ModelError, catalogue
from parrotpark.control.placement import judge

DOCUMENTATION = r"""
module: parrotpark_card_check
short_description: Refuse GPU hosts whose cards could not serve the models
description:
  - Says for each offer whether vLLM and the branch of NVIDIA's driver can use its cards, and whether the models fit
    into their memory; and if not, what would.
  - What nobody knows, be it the cards of an offer or the size of a model, is not checked, and said in a note.
  - It asks nobody and changes nothing. Runs on the control machine.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  clouds:
    description: The clouds, as the inventory names them; those of machines that are always there as well.
    type: list
    elements: dict
    required: true
  offers:
    description: Where a server may be created.
    type: list
    elements: dict
    required: true
    suboptions:
      cloud:
        description: Name of the cloud.
        type: str
        required: true
      location:
        description: Location.
        type: str
        required: true
      server_type:
        description: Server type.
        type: str
        required: true
      gpu:
        description: Its cards, where they are not known from its server type.
        type: dict
        suboptions:
          card:
            description: Name of the card.
            type: str
            required: true
          count:
            description: How many of them.
            type: int
            default: 1
  models:
    description: The catalogue, as the inventory has it.
    type: list
    elements: dict
    required: true
  branch:
    description: Branch of NVIDIA's driver.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Refuse cards that could not serve the models
  parrotpark_card_check:
    clouds:
      - { name: gpu, provider: hetzner, credential_file: ~/.config/parrotpark/gpu.token }
    offers:
      - { cloud: gpu, location: fsn1, server_type: gex44, gpu: { card: RTX 4000 SFF Ada } }
    models: "{{ parrotpark_models }}"
    branch: 580
"""

RETURN = r"""
notes:
  description: What was not checked and why, a line each.
  type: list
  elements: str
  returned: success
"""

GPU = {"card": {"required": True}, "count": {"type": "int", "default": 1}}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "clouds": {"type": "list", "elements": "dict", "required": True},
    "offers": {**OFFERS, "options": {**OFFERS["options"], "gpu": {"type": "dict", "options": GPU}}},
    "models": {"type": "list", "elements": "dict", "required": True},
    "branch": {"type": "int", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        judged = judge(catalogue(params["models"]), params["offers"], accounts_of(params), params["branch"])
    except (CloudError, ModelError) as error:
        module.fail_json(msg=str(error))
    if judged.problems:
        module.fail_json(msg="\n".join(judged.problems))
    module.exit_json(changed=False, notes=list(judged.notes))


if __name__ == "__main__":
    main()
