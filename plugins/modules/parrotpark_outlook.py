#!/usr/bin/python
"""Say what an inventory will cost, whether rights and quota are enough, and where its DNS names lead."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.cloud import Offer, SeveralClouds
from parrotpark.cloud.arguments import CLOUDS, clouds_of
from parrotpark.cloud.box import SERVER_TYPE
from parrotpark.cloud.errors import CloudError
from parrotpark.control import outlook
from parrotpark.shared import lease as label

DOCUMENTATION = r"""
module: parrotpark_outlook
short_description: Say what an inventory will cost, whether rights and quota are enough, and where its DNS names lead
description:
  - Asks the clouds for prices, for rights and quota, and for the entry server, and the name server for the names. It
    changes nothing, and says what only the first creation would tell.
  - Fails if a right or quota is known to be missing, or a name leads elsewhere although there is an entry server.
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
  entry:
    description: Offer of the entry server, with C(cloud), C(location) and C(server_type).
    type: dict
    required: true
  offers:
    description: Offers of the GPU hosts, each with those keys and C(price) in euros an hour where the cloud tells none.
    type: list
    elements: dict
    required: true
  hosts:
    description: How many GPU hosts serve at once.
    type: int
    required: true
  hours:
    description: How many hours a month they serve.
    type: int
    required: true
  names:
    description: DNS names that shall lead to the entry server.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what it will cost
  parrotpark_outlook:
    clouds: "{{ parrotpark_clouds }}"
    entry: { cloud: entry, location: fsn1, server_type: cx33 }
    offers:
      - { cloud: gpu, location: fsn1, server_type: ccx33 }
    hosts: 1
    hours: 160
    names: [ai.example.org]
"""

RETURN = r"""
lines:
  description: What there is to say.
  type: list
  returned: success
  sample: ["the entry server: about EUR 7.20 a month, without VAT"]
"""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "clouds": CLOUDS,
    "entry": {"type": "dict", "required": True},
    "offers": {"type": "list", "elements": "dict", "required": True},
    "hosts": {"type": "int", "required": True},
    "hours": {"type": "int", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        lines, wrong = look(module.params)
    except CloudError as error:
        module.fail_json(msg=str(error))
    if wrong:
        module.fail_json(msg="\n".join(wrong), lines=lines)
    module.exit_json(changed=False, lines=lines)


def look(params: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return what there is to say, and what is wrong.

    Raises:
        CloudError: a cloud cannot be asked.
    """
    cloud = SeveralClouds(clouds_of(params))
    entry = Offer(**params["entry"])
    given = {
        _offer(values): float(values.get("price") or 0)
        for values in params["offers"]
        if values.get("price") is not None or values["server_type"] == SERVER_TYPE  # nobody can be asked about a box
    }
    gpu = outlook.prices(cloud, map(_offer, params["offers"]), given)
    # A box is there already.
    made = [_offer(values) for values in params["offers"] if values["server_type"] != SERVER_TYPE]
    ahead = (cloud.prospect([entry], 1), cloud.prospect(made, params["hosts"]))
    said, wrong = outlook.names(params["names"], cloud.servers({label.ROLE: "entry"}))
    lines = outlook.costs(cloud.price(entry), gpu, params["hosts"], params["hours"])
    lines += [note for each in ahead for note in each.notes]
    return [*lines, *said], [fault for each in ahead for fault in each.faults] + wrong


def _offer(values: dict[str, Any]) -> Offer:
    return Offer(values["cloud"], values["location"], values["server_type"])


if __name__ == "__main__":
    main()
