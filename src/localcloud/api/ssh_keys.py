"""SSH keys: a server gets those that are named when it is created."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from localcloud.api import views
from localcloud.api.call import Call, Reply
from localcloud.api.errors import invalid, not_unique
from localcloud.core.actions import now
from localcloud.core.model import SshKey


def list_all(call: Call) -> Reply:
    return call.listing("ssh_keys", call.all_own(call.state.ssh_keys), views.ssh_key)


def get(call: Call) -> Reply:
    return 200, {"ssh_key": views.ssh_key(call.own(call.state.ssh_keys))}


def create(call: Call) -> Reply:
    name = call.text("name", at_most=128)
    public_key = call.text("public_key").strip()
    fingerprint = _fingerprint(public_key)
    with call.store.change() as state:
        call.refuse_taken_name(state.ssh_keys, name)
        if any(key.fingerprint == fingerprint for key in call.all_own(state.ssh_keys)):
            raise not_unique("public_key", "SSH key with the same fingerprint already exists")
        key = SshKey(state.new_id(), call.project, name, now(), call.labels(), public_key, fingerprint)
        state.ssh_keys[key.id] = key
    return 201, {"ssh_key": views.ssh_key(key)}


def update(call: Call) -> Reply:
    with call.store.change() as state:
        key = call.own(state.ssh_keys)
        name = call.text("name", key.name, at_most=128)
        call.refuse_taken_name(state.ssh_keys, name, but=key.id)
        state.ssh_keys[key.id] = replace(key, name=name, labels=call.labels(key.labels))
    return get(call)


def delete(call: Call) -> Reply:
    with call.store.change() as state:
        del state.ssh_keys[call.own(state.ssh_keys).id]
    return 204, None


def _fingerprint(public_key: str) -> str:
    """MD5 of the key in hex with colons. The blob repeats the name of the algorithm, so a damaged key is noticed."""
    algorithm, _, rest = public_key.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ", 1)[0], validate=True)
    except ValueError:  # not base64, or not even ASCII
        blob = b""
    if not algorithm or not blob[4:].startswith(algorithm.encode()):
        raise invalid("public_key", "is not an SSH public key")
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
