"""The options that every module takes to reach a cloud, and those of a server to be created there."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
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
"""

    OFFERS = r"""
options:
  offers:
    description: Where a server may be created, in order of preference; the next one is tried if capacity or quota
      runs out.
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
"""
