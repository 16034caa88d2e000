"""How each record looks on the wire: every field the official clients insist on, and nothing untrue."""

from __future__ import annotations

from dataclasses import asdict

from localcloud.api.call import Json
from localcloud.api.offer_views import location, server_type
from localcloud.core import catalogue
from localcloud.core.catalogue import SystemImage
from localcloud.core.commands import PacketFilter, packet_filter
from localcloud.core.model import SNAPSHOT, Action, Firewall, Image, PrimaryIp, Server, SshKey, Volume
from localcloud.core.store import State

GB = 10**9
_EPOCH = "2025-08-13T00:00:00+00:00"  # when system images were made, which never change

_STATUS_DURING = {
    "create_server": "initializing",
    "start_server": "starting",
    "reboot_server": "starting",
    "reset_server": "starting",
    "stop_server": "stopping",
    "rebuild_server": "rebuilding",
    "delete_server": "deleting",
}


def action(record: Action) -> Json:
    return {
        "id": record.id,
        "command": record.command,
        "status": record.status,
        "progress": 0 if record.status == "running" else 100,
        "started": record.started,
        "finished": record.finished,
        "resources": [asdict(ref) for ref in record.resources],
        "error": None if record.error is None else dict(zip(("code", "message"), record.error, strict=True)),
    }


def system_image(record: SystemImage) -> Json:
    return _image(
        id=record.id,
        type="system",
        status="available",
        name=record.name,
        description=record.description,
        os_flavor=record.os_flavor,
        os_version=record.os_version,
        rapid_deploy=True,
    )


def snapshot(record: Image) -> Json:
    return _image(
        id=record.id,
        type="snapshot",
        status="creating" if record.size_bytes is None else "available",
        description=record.name,
        image_size=None if record.size_bytes is None else round(record.size_bytes / GB, 3),
        disk_size=record.disk_gb,
        created=record.created,
        created_from={"id": record.server_id, "name": record.server_name},
        protection={"delete": record.protected},
        labels=dict(record.labels),
    )


def _image(**fields: object) -> Json:
    return {
        "name": None,
        "image_size": None,
        "disk_size": 5,
        "created": _EPOCH,
        "created_from": None,
        "bound_to": None,
        "os_flavor": "unknown",
        "os_version": None,
        "rapid_deploy": False,
        "protection": {"delete": False},
        "deprecated": None,
        "deprecation": None,
        "deleted": None,
        "labels": {},
        "architecture": "x86",
        **fields,
    }


def image_of(state: State, name: str) -> Json | None:
    """The image with this name in the backend; None once a snapshot is deleted."""
    for record in catalogue.SYSTEM_IMAGES:
        if record.name == name:
            return system_image(record)
    saved = state.images.get(int(name.removeprefix(SNAPSHOT)))
    return snapshot(saved) if saved else None


def server_status(state: State, record: Server, running: frozenset[int]) -> str:
    busy = state.busy("server", record.id)
    return _STATUS_DURING.get(busy.command if busy else "") or ("running" if record.id in running else "off")


def server(state: State, record: Server, running: frozenset[int], enforced: PacketFilter) -> Json:
    kind = catalogue.server_type(record.server_type)
    address = state.address(record)
    applied = address is not None and enforced.get(address) == packet_filter(state)[address]
    return {
        "id": record.id,
        "name": record.name,
        "status": server_status(state, record, running),
        "created": record.created,
        "public_net": {
            "ipv4": None
            if address is None
            else {"id": record.primary_ip, "ip": address, "blocked": False, "dns_ptr": ""},
            "ipv6": None,  # the bridge carries IPv4 only
            "floating_ips": [],
            "firewalls": [
                {"id": each.id, "status": "applied" if applied else "pending"} for each in state.firewalls_of(record)
            ],
        },
        "private_net": [],
        "server_type": server_type(kind),
        "location": location(catalogue.location(record.location)),
        "image": image_of(state, record.image),
        "iso": None,
        "rescue_enabled": False,
        "locked": state.busy("server", record.id) is not None,
        "backup_window": None,
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": catalogue.INCLUDED_TRAFFIC,
        "protection": {"delete": record.protected, "rebuild": record.protected},
        "labels": dict(record.labels),
        "volumes": state.volumes_of(record.id),
        "load_balancers": [],
        "primary_disk_size": kind.disk_gb,
        "placement_group": None,
    }


def ssh_key(record: SshKey) -> Json:
    return {
        "id": record.id,
        "name": record.name,
        "fingerprint": record.fingerprint,
        "public_key": record.public_key,
        "labels": dict(record.labels),
        "created": record.created,
    }


def firewall(state: State, record: Firewall) -> Json:
    servers = [{"type": "server", "server": {"id": id_}} for id_ in record.servers]
    selectors = [
        {
            "type": "label_selector",
            "label_selector": {"selector": text},
            "applied_to_resources": [
                {"type": "server", "server": {"id": each.id}} for each in state.servers_matching(record.project, text)
            ],
        }
        for text in record.selectors
    ]
    return {
        "id": record.id,
        "name": record.name,
        "labels": dict(record.labels),
        "created": record.created,
        "rules": [asdict(rule) for rule in record.rules],
        "applied_to": [*servers, *selectors],
    }


def volume(state: State, record: Volume) -> Json:
    busy = state.busy("volume", record.id)
    return {
        "id": record.id,
        "name": record.name,
        "created": record.created,
        "server": record.server,
        "location": location(catalogue.location(record.location)),
        "size": record.size,
        "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{record.id}",
        "protection": {"delete": record.protected},
        "labels": dict(record.labels),
        "status": "creating" if busy and busy.command == "create_volume" else "available",
        "format": record.format,
    }


def primary_ip(state: State, record: PrimaryIp) -> Json:
    owner = state.server_at(record.ip)
    return {
        "id": record.id,
        "name": record.name,
        "type": "ipv4",
        "ip": record.ip,
        "assignee_type": "server",
        "assignee_id": owner.id if owner else None,
        "auto_delete": record.auto_delete,
        "blocked": False,
        "dns_ptr": [],
        "location": location(catalogue.location(record.location)),
        "labels": dict(record.labels),
        "protection": {"delete": record.protected},
        "created": record.created,
    }
