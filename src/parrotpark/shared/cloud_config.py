"""What cloud-init does at the first boot of every server of ours."""

from __future__ import annotations

import json

from parrotpark.shared.ssh_key import public_key


def cloud_config(host_key: str, **more: object) -> str:
    """Write user data: nobody logs in by password, and the private SSH host key is ours; `more` are further modules.

    We hand the host key over, so no key is ever trusted on first use. The text holds a secret.
    """
    config = {
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": public_key(f"{host_key.strip()}\n")},
        **more,
    }
    return f"#cloud-config\n{json.dumps(config)}\n"
