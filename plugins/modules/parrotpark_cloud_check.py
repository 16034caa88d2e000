#!/usr/bin/python
"""Refuse servers that a cloud could never make, before anything is touched."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import PROVIDERS, Place, ServerSpec, connect
from parrotpark.cloud.credentials import read_credential
from parrotpark.cloud.errors import CloudError

DOCUMENTATION = r"""
module: parrotpark_cloud_check
short_description: Refuse servers that a cloud could never make
description:
  - Asks the cloud whether it is there, whether it takes the token, and whether it has the named server types, locations
    and image. What is unknown is refused with the names that are known.
  - It changes nothing, and asks neither for capacity nor for quota. Runs on the control machine.
author: Parrotpark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
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
  token_file:
    description: File with the project's token. Falls back to E(HCLOUD_TOKEN).
    type: path
  offers:
    description: Where servers are to be created.
    type: list
    elements: dict
    required: true
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
    description: Image that the servers are to be created from.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a server that the cloud could never make
  parrotpark_cloud_check:
    token_file: ~/.config/parrotpark/entry.token
    offers:
      - { location: fsn1, server_type: cx33 }
    image: debian-13
"""

RETURN = r""" # """

ARGUMENTS: dict[str, dict[str, Any]] = {
    "provider": {"choices": list(PROVIDERS), "default": "hetzner"},
    "endpoint": {},
    "token_file": {"type": "path", "no_log": False},
    "offers": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"location": {"required": True}, "server_type": {"required": True}},
    },
    "image": {"required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        credential = read_credential(params["token_file"], "HCLOUD_TOKEN", os.environ)
        places = [Place(**offer) for offer in params["offers"]]
        specs = [ServerSpec(name="", place=place, image=params["image"], labels={}) for place in places]
        connect(params["provider"], credential, params["endpoint"]).check(specs)
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
