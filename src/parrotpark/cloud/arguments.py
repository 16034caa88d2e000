"""The arguments with which Ansible modules reach a cloud, and the cloud that they name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from parrotpark.cloud import PROVIDERS, Cloud, connect
from parrotpark.cloud.credentials import read_credential

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "provider": {"choices": list(PROVIDERS), "default": "hetzner"},
    "endpoint": {},
    "token_file": {"type": "path", "no_log": False},
}
OFFERS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {"location": {"required": True}, "server_type": {"required": True}},
}


def cloud_of(params: Mapping[str, Any]) -> Cloud:
    """Return the project that a module's parameters name.

    Raises:
        CloudError: no token is named, or the token cannot be read.
    """
    credential = read_credential(params["token_file"], "HCLOUD_TOKEN", os.environ)
    return connect(params["provider"], credential, params["endpoint"])
