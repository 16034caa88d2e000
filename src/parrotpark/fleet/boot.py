"""What a new GPU host is told at its first boot, and the server to ask the cloud for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from parrotpark.cloud import Image, Offer, ServerSpec
from parrotpark.fleet.config import ConfigError, Fleet
from parrotpark.shared.cloud_config import cloud_config
from parrotpark.shared.lease import GPU, Lease, State
from parrotpark.shared.slot_document import PATH, SlotDocument

MAX_USER_DATA = 32 * 1024  # bytes, by the Hetzner Cloud API


def user_data(slot: SlotDocument, until: int) -> str:
    """Write the user data for cloud-init: the SSH host key of the slot, and the slot document with the lease's end.

    Raises:
        ConfigError: it is longer than the cloud accepts.
    """
    document = json.dumps(replace(slot, lease_until=until).to_dict())
    file = {"path": PATH, "permissions": "0600", "content": f"{document}\n"}
    text = cloud_config(slot.ssh_host_key, write_files=[file])
    if (size := len(text.encode())) > MAX_USER_DATA:
        raise ConfigError([f"user_data of {slot.name} has {size} bytes, but a cloud takes only {MAX_USER_DATA}"])
    return text


def specs(
    fleet: Fleet, slot: SlotDocument, images: Sequence[Image], offers: Sequence[Offer], now: int
) -> list[ServerSpec]:
    """Describe the slot's server, once for each of the offers, whose clouds have images; `now` is epoch seconds.

    Its first lease lasts as long as the host may take to serve: whatever happens to us, it ends by itself.
    """
    until = now + fleet.ready_seconds
    lease = Lease(GPU, slot.name, State.WAKING, fleet.maker, fleet.fingerprint, until)
    text = user_data(slot, until)
    ids = {image.cloud: image.id for image in images}
    return [
        ServerSpec(
            name=slot.name,
            offer=offer,
            image=ids[offer.cloud],
            labels=lease.labels(),
            ssh_keys=fleet.ssh_keys,
            firewalls=fleet.firewalls,
            user_data=text,
        )
        for offer in offers
    ]
