#!/usr/bin/python
"""Refuse servers that a cloud could never make, before anything is touched."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import Offer, ServerSpec
from parrotpark.cloud.arguments import ARGUMENTS as CLOUD
from parrotpark.cloud.arguments import OFFERS, cloud_of
from parrotpark.cloud.errors import CloudError

DOCUMENTATION = r"""
module: parrotpark_cloud_check
short_description: Refuse servers that a cloud could never make
description:
  - Checks that the cloud answers, accepts the token, and has the named server types, locations and image. An unknown
    name is refused, with the names that are known.
  - It changes nothing, and asks about neither capacity nor quota. Runs on the control machine.
author: Parrotpark
extends_documentation_fragment: [parrotpark_cloud, parrotpark_cloud.offers]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
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
    **CLOUD,
    "offers": OFFERS,
    "image": {"required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        offers = [Offer(**offer) for offer in params["offers"]]
        specs = [ServerSpec(name="", offer=offer, image=params["image"], labels={}) for offer in offers]
        cloud_of(params).check(specs)
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
