"""The options that every module takes to reach clouds, and those of a server to be created there."""

from __future__ import annotations


class ModuleDocFragment:
    """Ansible's entry point."""

    DOCUMENTATION = r"""
options:
  clouds:
    description: The clouds, as the inventory names them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the inventory calls it.
        type: str
        required: true
      provider:
        description: Whose cloud it is.
        type: str
        choices: [hetzner, openstack, scaleway]
        required: true
      credential_file:
        description: File with what opens it, as the token of the project.
        type: path
        required: true
      endpoint:
        description: URL of its API; by default the provider's own.
        type: str
      region:
        description: Region or zone, where the provider asks for one.
        type: str
      project:
        description: Id of the project, where the credential does not say it.
        type: str
      image:
        description: Image of the provider that a GPU host is baked from.
        type: str
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
"""
