"""Nova's side of the stand-in: a driver whose machines are the local cloud's, or none at all."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import nova.virt
from nova.cmd.compute import main
from nova.compute import task_states
from nova.image import glance
from nova.network import neutron
from nova.virt.fake import FakeDriverWithoutFakeNodes

ENDPOINT = os.environ.get("HCLOUD_ENDPOINT")  # of a local cloud's API; without it no machine is behind a server
TOKEN = os.environ.get("HCLOUD_TOKEN", "")
FAULTS = Path(os.environ["PARROTPARK_FAULTS"])  # a folder; a file in it, named like a method, makes that method fail
MOST_USER_DATA = 2**15  # characters; nova takes more than the local cloud
# Elsewhere than the hosts of the demo, which tests let be scarce.
MACHINE_TYPE, MACHINE_IMAGE, LOCATION = "ccx33", "debian-13", "nbg1"


class Machines(FakeDriverWithoutFakeNodes):  # type: ignore[misc]  # nova has no types
    """Does with machines what nova says of servers."""

    def spawn(self, context: Any, instance: Any, image_meta: Any, *arguments: Any, **options: Any) -> None:
        """Make the machine."""
        _fault("spawn")
        super().spawn(context, instance, image_meta, *arguments, **options)
        if ENDPOINT:
            address = _make(instance, _machine_image(context, image_meta.id) or MACHINE_IMAGE)
            _tell_address(context, instance, address)

    def destroy(self, context: Any, instance: Any, *arguments: Any, **options: Any) -> None:
        """Delete the machine."""
        _fault("destroy")
        super().destroy(context, instance, *arguments, **options)
        for machine in _machines(instance):
            _call("DELETE", f"/servers/{machine}")

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Switch it off."""
        _fault("power_off")
        super().power_off(instance, timeout, retry_interval)
        for machine in _machines(instance):
            _call("POST", f"/servers/{machine}/actions/poweroff")

    def power_on(self, context: Any, instance: Any, *arguments: Any, **options: Any) -> None:
        """Switch it on."""
        super().power_on(context, instance, *arguments, **options)
        for machine in _machines(instance):
            _call("POST", f"/servers/{machine}/actions/poweron")

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        """Image the machine; what glance gets is the name of that image."""
        _fault("snapshot")
        super().snapshot(context, instance, image_id, update_task_state)
        body = b"nothing"
        for machine in _machines(instance):
            answer = _call("POST", f"/servers/{machine}/actions/create_image", {"type": "snapshot"})
            body = str(answer["image"]["id"]).encode()
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_UPLOADING)
        form = {"disk_format": "raw", "container_format": "bare"}
        glance.API().update(context, image_id, form, data=io.BytesIO(body), purge_props=False)


def _fault(method: str) -> None:
    while (FAULTS / f"{method}-hangs").exists():
        time.sleep(0.1)
    if (FAULTS / method).exists():
        raise RuntimeError(f"{method} does not work today")


def _make(instance: Any, image: str) -> str:
    """Make the machine and return its address."""
    user_data = base64.b64decode(instance.user_data or "").decode()
    body = {
        "name": _name(instance),
        "server_type": MACHINE_TYPE,
        "location": LOCATION,
        "image": image,
        "user_data": user_data if len(user_data) <= MOST_USER_DATA else "",
        "ssh_keys": [_key(instance.key_data)] if instance.key_data else [],
    }
    return str(_call("POST", "/servers", body)["server"]["public_net"]["ipv4"]["ip"])


def _key(public_key: str) -> int:
    """Find the key in the local cloud, or bring it there."""
    kind_and_key = public_key.split()[:2]
    found = [
        each["id"] for each in _call("GET", "/ssh_keys")["ssh_keys"] if each["public_key"].split()[:2] == kind_and_key
    ]
    if not found:
        made = _call("POST", "/ssh_keys", {"name": f"openstack-{uuid.uuid4()}", "public_key": public_key})
        found = [made["ssh_key"]["id"]]
    return int(found[0])


def _tell_address(context: Any, instance: Any, address: str) -> None:
    """Let the server's port have the address that the machine was given, and nova know it before it says ACTIVE."""
    client = neutron.get_client(context, admin=True)
    (port,) = client.list_ports(device_id=instance.uuid)["ports"]
    client.update_port(port["id"], {"port": {"fixed_ips": [{"ip_address": address}]}})
    neutron.API().get_instance_nw_info(context, instance, force_refresh=True)


def _machine_image(context: Any, image_id: str) -> str | None:
    """Return the local cloud's image that a snapshot of ours stands for."""
    body = b"".join(glance.API().download(context, image_id))
    return body.decode() if body.isdigit() else None


def _name(instance: Any) -> str:
    return f"openstack-{instance.uuid}"


def _machines(instance: Any) -> list[int]:
    if not ENDPOINT:
        return []
    return [each["id"] for each in _call("GET", f"/servers?name={_name(instance)}")["servers"]]


def _call(method: str, path: str, body: object = None) -> Any:
    """Ask the local cloud, and wait until it has done it."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = Request(f"{ENDPOINT}{path}", json.dumps(body or {}).encode(), headers, method=method)
    with urlopen(request, timeout=60) as answer:
        said = json.load(answer)
    while (action := said.get("action")) and action["status"] == "running":
        time.sleep(0.2)
        said |= _call("GET", f"/actions/{action['id']}")
    if action and action["status"] == "error":
        raise RuntimeError(action["error"]["message"])
    return said


if __name__ == "__main__":
    # nova looks for drivers below its own package only.
    nova.virt.__path__.append(str(Path(__file__).parent))
    sys.argv[0] = "nova-compute"
    sys.exit(main())
