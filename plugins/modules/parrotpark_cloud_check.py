#!/usr/bin/python
"""Refuse servers that a cloud could never make, before anything is touched."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import ServerSpec, SeveralClouds
from parrotpark.cloud.arguments import CLOUDS, OFFERS, accounts_of, clouds_of, offers_of
from parrotpark.cloud.errors import CloudError

DOCUMENTATION = r"""
module: parrotpark_cloud_check
short_description: Refuse servers that a cloud could never make
description:
  - Checks that each cloud of the offers answers, accepts the credential, and has the named server types, locations and
    image. An unknown name is refused, with the names that are known.
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
    description: Image that the servers are to be created from. By default the one that each cloud names.
    type: str
"""

EXAMPLES = r"""
- name: Refuse a server that the cloud could never make
  parrotpark_cloud_check:
    clouds:
      - { name: entry, provider: hetzner, credential_file: ~/.config/parrotpark/entry.token }
    offers:
      - { cloud: entry, location: fsn1, server_type: cx33 }
    image: debian-13
"""

RETURN = r""" # """

ARGUMENTS: dict[str, dict[str, Any]] = {
    "clouds": CLOUDS,
    "offers": OFFERS,
    "image": {},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        images = {account.name: params["image"] or account.image or "" for account in accounts_of(params)}
        specs = [ServerSpec("", offer, images.get(offer.cloud, ""), {}) for offer in offers_of(params)]
        SeveralClouds(clouds_of(params)).check(specs)
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
