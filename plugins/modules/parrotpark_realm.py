#!/usr/bin/python
"""Documents the action plugin of the same name, which compares on the control machine and calls from the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parrotpark_realm
short_description: Keep a realm of Keycloak as it is declared
description:
  - Compares the realm with what is declared, and calls Keycloak's admin API until they agree.
  - The calls are made from the host, by a program that is sent through stdin and leaves nothing there. It needs
    C(/usr/bin/python3).
  - What is not declared stays as it is. Nothing is deleted but a role that a declared group or account has on top.
author: Parrotpark
attributes:
  check_mode:
    support: full
    description: Where no Keycloak answers yet it warns, and shows what it would make.
  diff_mode:
    support: full
    description: Shows each value that differs, and of secrets only that they do.
  idempotent:
    support: full
options:
  url:
    description: Address of Keycloak, without a path.
    type: str
    required: true
  auth_realm:
    description: Realm of the client that signs in.
    type: str
    default: master
  client_id:
    description: Client that signs in with its service account.
    type: str
    required: true
  client_secret:
    description: Its secret.
    type: str
    required: true
  ca_file:
    description: Certificates on the host to trust besides the system's.
    type: path
  declared:
    description:
      - Keycloak's representation of the realm under C(realm), and of what belongs to it under C(roles), C(groups),
        C(clients), C(identityProviders), C(userFederation) and C(requiredActions), each a dict by names.
      - C(serviceAccounts) gives clients the roles of the realm's C(realm-management).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the realm
  parrotpark_realm:
    url: http://127.0.0.1:8180
    client_id: automation
    client_secret: "{{ secret }}"
    declared: "{{ lookup('ansible.builtin.template', 'realm.yml.j2') | from_yaml }}"
"""

RETURN = "#"
