"""A face of Scaleway's API in memory: one project in one zone, and of its API what our provider calls.

Answers, states and their order are those of recordings of the real API, which scaleway-cli keeps as test data. Where
none was found, a comment says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from parrotpark.cloud import Account
from tests.cloud_in_memory import listening

type Thing = dict[str, Any]
type Table = dict[str, Thing]
type Handler = Callable[[Request, bytes], Response]

ZONE = "fr-par-2"
PROJECT = "6d1f3b52-8f0e-4f59-9d0a-7b8a4c1f2e10"
SECRET = "0b9c1d7e-51a4-4f0c-8a77-2f6f3f1f9f01"
MOST_USER_DATA = 127_998  # bytes; no recording of the limit was found
TYPES = {"L4-1-24G": 0.7875, "GP1-XS": 0.091, "COPARM1-2C-8G": 0.0426}
ARM = "COPARM1-2C-8G"
LABELS = ("debian_trixie", "ubuntu_noble_gpu_os_13")
ROOTS: Mapping[str, int] = {"debian_trixie": 10_000_000_000, "ubuntu_noble_gpu_os_13": 125_000_000_000}


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """What the API answers instead of doing what it was asked for."""

    status: int
    type: str
    message: str = "because"
    more: Mapping[str, Any] = field(default_factory=dict)

    def answer(self) -> Response:
        return JSONResponse({"type": self.type, "message": self.message, **self.more}, self.status)


# Of the first two no recording was found: their statuses are guesses.
OUT_OF_STOCK = Refusal(400, "out_of_stock", "resource is out of stock", {"resource": "L4-1-24G"})
QUOTA = Refusal(
    403,
    "quotas_exceeded",
    "quota(s) exceeded for this resource",
    {"details": [{"resource": "InstancesGpuL4", "quota": 0, "current": 0}]},
)
DENIED = Refusal(401, "denied_authentication", "authentication is denied", {"method": "api_key", "reason": "not_found"})
FORBIDDEN = Refusal(
    403,
    "permissions_denied",
    "insufficient permissions",
    {"details": [{"action": "write", "resource": "block_volume"}]},
)
TOO_MANY = Refusal(429, "too_many_requests", "quota exceeded for requests")


def not_found(resource: str, id_: str) -> Refusal:
    return Refusal(404, "not_found", "resource is not found", {"resource": resource, "resource_id": id_})


def invalid(argument: str, help_message: str = "") -> Refusal:
    details = [{"argument_name": argument, "reason": "constraint", "help_message": help_message}]
    return Refusal(400, "invalid_arguments", "invalid argument(s)", {"details": details})


class Scaleway:
    """The project. What takes a while is done step by step, whenever `work` is called in place of sleeping."""

    def __init__(self) -> None:
        self.refusals: dict[str, Refusal] = {}  # by call, as in `calls`
        self.calls: list[str] = []
        self.stuck = False  # servers never start
        self.sold_out = False  # servers stop again instead of starting
        self.busy = False  # snapshots do not become ready
        self.public: Table = {}
        self.clear()
        for label in LABELS:
            for arch in ("x86_64", "arm64"):
                image = self._image(f"{label} {arch}", arch, self._snapshot(label, ROOTS[label])["id"], "")
                self.public[image["id"]] = image | {"label": label}
        self.snapshots_of_others: Table = self.snapshots
        self.clear()

    def clear(self) -> None:
        """Empty the project."""
        self.servers: Table = {}
        self.images: Table = {}
        self.volumes: Table = {}  # of block storage
        self.old_volumes: Table = {}
        self.snapshots: Table = {}
        self.ips: Table = {}
        self.groups: Table = {}
        self.rules: dict[str, list[Thing]] = {}
        self.keys: Table = {}
        self.user_data: dict[str, bytes] = {}  # by server
        self.reserved: dict[str, str] = {}  # when an address was made, by its id in IPAM
        self._waiting: list[Callable[[], None]] = []

    # ---- What is there ----------------------------------------------------------------------------------------------

    def billed(self) -> set[str]:
        """Name all that costs money; a server that is off costs what its volume does."""
        tables = {"volume": self.volumes | self.old_volumes, "snapshot": self.snapshots, "address": self.ips}
        busy = {f"server {id_}" for id_, server in self.servers.items() if server["state"] != "stopped"}
        return busy | {f"{kind} {id_}" for kind, table in tables.items() for id_ in table}

    def work(self, _seconds: float = 0) -> None:
        """Take everything that waits one step further."""
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            step()

    def reserve(self, address: str = "51.15.0.9", tags: list[str] | None = None) -> Thing:
        """Make a flexible address, as a person may."""
        ip: Thing = {
            "id": str(uuid4()),
            "address": address,
            "prefix": None,
            "reverse": None,
            "server": None,
            "organization": PROJECT,
            "project": PROJECT,
            "type": "routed_ipv4",
            "state": "detached",
            "tags": tags or [],
            "ipam_id": str(uuid4()),
            "zone": ZONE,
        }
        self.ips[ip["id"]] = ip
        self.reserved[ip["ipam_id"]] = _now()
        return ip

    def volume(self, name: str, size: int, parent: str | None = None, tags: list[str] | None = None) -> Thing:
        """Make a volume of block storage that nothing uses."""
        made: Thing = {
            "id": str(uuid4()),
            "name": name,
            "type": "sbs_5k",
            "size": size,
            "project_id": PROJECT,
            "created_at": _now(),
            "updated_at": _now(),
            "references": [],
            "parent_snapshot_id": parent,
            "status": "available",
            "tags": tags or [],
            "specs": {"perf_iops": 5000, "class": "sbs"},
            "last_detached_at": None,
            "zone": ZONE,
        }
        self.volumes[made["id"]] = made
        return made

    def old_volume(self, name: str, tags: list[str] | None = None) -> Thing:
        """Make a local volume that no server has."""
        made: Thing = {
            "id": str(uuid4()),
            "name": name,
            "size": 20_000_000_000,
            "volume_type": "l_ssd",
            "organization": PROJECT,
            "project": PROJECT,
            "tags": tags or [],
            "state": "available",
            "server": None,
            "creation_date": _now(),
            "modification_date": _now(),
            "zone": ZONE,
        }
        self.old_volumes[made["id"]] = made
        return made

    def snapshot(self, name: str, tags: list[str] | None = None) -> Thing:
        """Make a snapshot that no image needs."""
        made = self._snapshot(name, 10_000_000_000)
        made["tags"] = tags or []
        return made

    def _snapshot(self, name: str, size: int) -> Thing:
        made: Thing = {
            "id": str(uuid4()),
            "name": name,
            "parent_volume": None,
            "size": size,
            "project_id": PROJECT,
            "created_at": _now(),
            "updated_at": _now(),
            "references": [],
            "status": "available",
            "tags": [],
            "class": "sbs",
            "public": False,
            "zone": ZONE,
        }
        self.snapshots[made["id"]] = made
        return made

    def _image(self, name: str, arch: str, snapshot_id: str, server_id: str) -> Thing:
        return {
            "id": str(uuid4()),
            "name": name,
            "organization": PROJECT,
            "project": PROJECT,
            "root_volume": {"volume_type": "sbs_snapshot", "id": snapshot_id, "size": 0, "name": ""},
            "extra_volumes": {},
            "public": not server_id,
            "arch": arch,
            "creation_date": _now(),
            "modification_date": _now(),
            "default_bootscript": None,
            "from_server": server_id,
            "state": "available",
            "tags": [],
            "zone": ZONE,
        }

    # ---- Servers ----------------------------------------------------------------------------------------------------

    def create_server(self, body: Thing) -> Response:
        image = self.public.get(body["image"]) or self.images.get(body["image"])
        if image is None:
            raise not_found("instance_image", body["image"])
        if body["commercial_type"] not in TYPES:
            raise invalid("commercial_type", "unknown commercial type")
        if image["arch"] != _arch(body["commercial_type"]):
            raise invalid("image", "image architecture is not that of the server type")
        group = self.groups.get(body["security_group"]) if body.get("security_group") else None
        if body.get("security_group") and group is None:
            raise not_found("instance_security_group", body["security_group"])
        snapshot_id = image["root_volume"]["id"]
        snapshot = self.snapshots.get(snapshot_id) or self.snapshots_of_others.get(snapshot_id)
        if snapshot is None or snapshot["status"] == "creating":
            raise invalid("image", "the snapshot of the image cannot be used")
        size = body["volumes"]["0"]["size"]
        if size < snapshot["size"]:
            raise invalid("volumes", "the volume is smaller than the snapshot")
        server: Thing = {
            "id": str(uuid4()),
            "name": body["name"],
            "arch": image["arch"],
            "commercial_type": body["commercial_type"],
            "boot_type": "local",
            "organization": PROJECT,
            "project": body["project"],
            "hostname": body["name"],
            "image": {key: value for key, value in image.items() if key != "label"},
            "volumes": {},
            "tags": body.get("tags", []),
            "state": "stopped",
            "protected": False,
            "state_detail": "",
            "public_ip": None,
            "public_ips": [],
            "routed_ip_enabled": True,
            "dynamic_ip_required": body.get("dynamic_ip_required", False),
            "creation_date": _now(),
            "modification_date": _now(),
            "security_group": {"id": group["id"], "name": group["name"]} if group else None,
            "maintenances": [],
            "allowed_actions": ["poweron", "backup"],
            "private_nics": [],
            "zone": ZONE,
        }
        volume = self.volume(f"{image['name']}_sbs_volume_0", size, snapshot_id)
        volume["references"] = [_reference("instance_server", server["id"])]
        volume["status"] = "in_use"
        server["volumes"] = {
            "0": {"boot": False, "volume_type": "sbs_volume", "id": volume["id"], "state": "available", "zone": ZONE}
        }
        self.servers[server["id"]] = server
        return JSONResponse({"server": server}, 201)

    def delete_server(self, id_: str) -> Response:
        if self.servers[id_]["state"] != "stopped":
            raise Refusal(400, "invalid_request_error", "instance should be powered off")
        self._remove(id_)
        return Response(status_code=204)

    def act(self, id_: str, body: Thing) -> Response:
        server, action = self.servers[id_], body["action"]
        if action not in server["allowed_actions"]:
            # Recorded only for terminate
            state = {"poweron": "stopped", "backup": "running or stopped"}.get(action, "running")
            raise Refusal(400, "invalid_request_error", f"server should be {state}")
        result = f"/servers/{id_}"
        match action:
            case "poweron":
                _state(server, "starting", "allocating node")
                if not self.stuck:
                    self._waiting.append(lambda: self._started(server))
            case "poweroff":
                _state(server, "stopping", "stopping")
                self._waiting.append(lambda: self._stopped(server))
            case "stop_in_place":
                _state(server, "stopping", "stopping")
                self._waiting.append(lambda: _state(server, "stopped in place", ""))
            case "terminate":
                _state(server, "stopping", "terminating")
                self._waiting.append(lambda: self._remove(id_))
            case "backup":
                result = f"/images/{self._backup(server, body)}"
        task = {
            "id": str(uuid4()),
            "description": f"server_{action}",
            "status": "pending",
            "href_from": f"/servers/{id_}/action",
            "href_result": result,
            "started_at": _now(),
            "terminated_at": None,
            "progress": 0,
            "zone": ZONE,
        }
        return JSONResponse({"task": task}, 202)

    def _started(self, server: Thing) -> None:
        if self.sold_out:
            _state(server, "stopped", "no node is left")
            return
        _state(server, "running", "booting kernel")
        if server["dynamic_ip_required"] and not server["public_ips"]:
            ip = {
                "id": str(uuid4()),
                "address": f"51.15.1.{len(self.calls) % 250}",
                "dynamic": True,
                "gateway": "62.210.0.1",
                "netmask": "32",
                "family": "inet",
                "provisioning_mode": "dhcp",
                "tags": [],
                "state": "attached",
                "ipam_id": str(uuid4()),
            }
            server["public_ip"], server["public_ips"] = ip, [ip]

    def _stopped(self, server: Thing) -> None:
        _state(server, "stopped", "")
        server["public_ips"] = [ip for ip in server["public_ips"] if not ip["dynamic"]]
        server["public_ip"] = next(iter(server["public_ips"]), None)

    def _remove(self, id_: str) -> None:
        server = self.servers.pop(id_)
        self.user_data.pop(id_, None)
        for ip in server["public_ips"]:
            if not ip["dynamic"]:
                self.ips[ip["id"]] |= {"server": None, "state": "detached"}
        for entry in server["volumes"].values():
            if volume := self.volumes.get(entry["id"]):
                volume["references"][0]["status"] = "detaching"
                self._waiting.append(partial(volume.update, references=[], status="available"))

    def _backup(self, server: Thing, body: Thing) -> str:
        root = self.volumes[server["volumes"]["0"]["id"]]
        assert body["volumes"] == {root["id"]: {"volume_type": "sbs_snapshot"}}
        snapshot = self._snapshot(f"{body['name']}_snap_0", root["size"])
        image = self._image(body["name"], server["arch"], snapshot["id"], server["id"])
        snapshot["parent_volume"] = {"id": root["id"], "name": root["name"], "type": "sbs_5k", "status": "in_use"}
        snapshot["references"] = [_reference("instance_image", image["id"])]
        snapshot["status"] = "creating"
        self._waiting.append(lambda: self._copied(snapshot))
        self.images[image["id"]] = image
        return str(image["id"])

    def _copied(self, snapshot: Thing) -> None:
        if self.busy:
            self._waiting.append(lambda: self._copied(snapshot))
        else:
            snapshot["status"] = "in_use"

    def delete_image(self, id_: str) -> Response:
        snapshot = self.snapshots[self.images.pop(id_)["root_volume"]["id"]]
        self._waiting.append(lambda: snapshot.update(references=[], status="available"))
        return Response(status_code=204)

    # ---- Security groups --------------------------------------------------------------------------------------------

    def create_group(self, body: Thing) -> Response:
        group: Thing = {
            "id": str(uuid4()),
            "creation_date": _now(),
            "modification_date": _now(),
            "name": body["name"],
            "description": body["description"],
            "organization": PROJECT,
            "project": body["project"],
            "servers": [],
            "stateful": body["stateful"],
            "inbound_default_policy": body["inbound_default_policy"],
            "outbound_default_policy": body["outbound_default_policy"],
            "organization_default": False,
            "project_default": False,
            "enable_default_security": True,
            "state": "available",
            "tags": [],
            "zone": ZONE,
        }
        self.groups[group["id"]] = group
        self.rules[group["id"]] = [
            _rule({"protocol": "TCP", "direction": "outbound", "action": "drop", "ip_range": "0.0.0.0/0"}, 25, False)
        ]
        return JSONResponse({"security_group": group}, 201)

    def set_rules(self, id_: str, body: Thing) -> Response:
        fixed = [rule for rule in self.rules[id_] if not rule["editable"]]
        assert all(rule["protocol"] in ("TCP", "UDP", "ICMP") for rule in body["rules"])
        self.rules[id_] = [*(_rule(rule, rule.get("dest_port_from"), True) for rule in body["rules"]), *fixed]
        return JSONResponse({"rules": self.rules[id_]})


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _arch(server_type: str) -> str:
    return "arm64" if server_type == ARM else "x86_64"


def _state(server: Thing, state: str, detail: str) -> None:
    actions = {
        "stopped": ["poweron", "backup"],
        "running": ["poweroff", "terminate", "reboot", "stop_in_place", "backup"],
        "stopped in place": ["poweron", "poweroff", "terminate", "backup"],
        "starting": ["stop_in_place", "backup"],
    }
    server |= {"state": state, "state_detail": detail, "allowed_actions": actions.get(state, [])}


def _reference(kind: str, id_: str) -> Thing:
    return {
        "id": str(uuid4()),
        "product_resource_type": kind,
        "product_resource_id": id_,
        "created_at": _now(),
        "type": "exclusive" if kind == "instance_server" else "link",
        "status": "attached",
    }


def _rule(rule: Thing, port: int | None, editable: bool) -> Thing:
    last = rule.get("dest_port_to")
    return {
        "id": str(uuid4()),
        "protocol": rule["protocol"],
        "direction": rule["direction"],
        "ip_range": rule["ip_range"],
        "dest_ip_range": None,
        "dest_port_from": port,
        "dest_port_to": None if last == port else last,
        "position": rule.get("position", 1),
        "editable": editable,
        "action": rule["action"],
        "zone": ZONE,
    }


# ---- Over HTTP ------------------------------------------------------------------------------------------------------


def create_app(cloud: Scaleway) -> Starlette:
    """Serve the project as the API does."""
    instance, block = f"/instance/v1/zones/{ZONE}", f"/block/v1/zones/{ZONE}"

    def route(path: str, handler: Handler, method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            call = f"{method} {path.replace(instance, '')}"
            if path.endswith("/action"):
                call = str(json.loads(body)["action"])
            cloud.calls.append(call)
            try:
                if request.headers.get("X-Auth-Token") != SECRET:
                    raise DENIED
                if call in cloud.refusals:
                    raise cloud.refusals[call]
                return handler(request, body)
            except Refusal as refusal:
                return refusal.answer()

        return Route(path, endpoint, methods=[method])

    def listed(base: str, path: str, rows: Callable[[Request], list[Thing]], key: str = "") -> Route:
        key = key or path.replace("-", "_")

        def answer(request: Request, _body: bytes) -> Response:
            found = rows(request)
            size = min(int(request.query_params.get("per_page") or request.query_params.get("page_size") or 50), 100)
            start = (int(request.query_params.get("page", 1)) - 1) * size
            part = found[start : start + size]
            if "/instance/" in base:  # the others say it in the body
                return JSONResponse({key: part}, headers={"X-Total-Count": str(len(found))})
            return JSONResponse({key: part, "total_count": len(found)})

        return route(f"{base}/{path}", answer, "GET")

    def of_project(table: Callable[[], Table], parameter: str) -> Callable[[Request], list[Thing]]:
        def rows(request: Request) -> list[Thing]:
            assert request.query_params[parameter] == PROJECT
            part = request.query_params.get("name", "")
            return [row for row in table().values() if part in row.get("name", "")]

        return rows

    def one(base: str, path: str, method: str, resource: str, table: Callable[[], Table], handler: Handler) -> Route:
        def answer(request: Request, body: bytes) -> Response:
            if request.path_params["id"] not in table():
                raise not_found(resource, request.path_params["id"])
            return handler(request, body)

        return route(f"{base}/{path}", answer, method)

    def got(table: Callable[[], Table], key: str = "") -> Handler:
        def answer(request: Request, _body: bytes) -> Response:
            row = table()[request.path_params["id"]]
            return JSONResponse({key: row} if key else row)

        return answer

    def changed(table: Callable[[], Table], key: str) -> Handler:
        def answer(request: Request, body: bytes) -> Response:
            row = table()[request.path_params["id"]]
            row |= json.loads(body)
            return JSONResponse({key: row})

        return answer

    def gone(table: Callable[[], Table]) -> Handler:
        def answer(request: Request, _body: bytes) -> Response:
            row = table()[request.path_params["id"]]
            if row.get("references"):
                # No recording of this answer was found, so it is one that no patience helps against.
                raise Refusal(400, "invalid_request_error", "it is in use")
            del table()[row["id"]]
            return Response(status_code=204)

        return answer

    def types(_request: Request) -> list[Thing]:
        return [{"name": name, "hourly_price": price} for name, price in TYPES.items()]

    def all_types(request: Request, _body: bytes) -> Response:
        page = int(request.query_params.get("page", 1))
        found = {
            row["name"]: {"hourly_price": row["hourly_price"], "arch": _arch(row["name"]), "ncpus": 8, "ram": 1 << 34}
            for row in types(request)
        }
        return JSONResponse({"servers": found if page == 1 else {}}, headers={"X-Total-Count": str(len(found))})

    def local_images(request: Request) -> list[Thing]:
        assert request.query_params["zone"] == ZONE
        assert request.query_params["type"] == "instance_sbs"
        if request.query_params["image_label"] not in LABELS:
            raise not_found("MarketplaceImage", request.query_params["image_label"])
        return [
            {
                "id": image["id"],
                "arch": image["arch"],
                "zone": ZONE,
                "compatible_commercial_types": [name for name in TYPES if _arch(name) == image["arch"]],
                "label": image["label"],
                "type": "instance_sbs",
            }
            for image in sorted(cloud.public.values(), key=lambda image: str(image["arch"]))
            if image["label"] == request.query_params["image_label"]
        ]

    def market(_request: Request) -> list[Thing]:
        return [{"id": str(uuid4()), "name": label, "description": "", "logo": "", "label": label} for label in LABELS]

    def set_user_data(request: Request, body: bytes) -> Response:
        assert request.headers["Content-Type"] == "text/plain"
        if len(body) > MOST_USER_DATA:
            raise invalid("content", "user data is too long")
        cloud.user_data[request.path_params["id"]] = body
        return Response(status_code=204)

    def create_key(_request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        key = {
            "id": str(uuid4()),
            "name": asked["name"],
            "public_key": asked["public_key"],
            "fingerprint": "256 MD5:00",
            "created_at": _now(),
            "updated_at": _now(),
            "organization_id": PROJECT,
            "project_id": asked["project_id"],
            "disabled": False,
        }
        cloud.keys[key["id"]] = key
        return JSONResponse(key)

    def ipam(request: Request, _body: bytes) -> Response:
        id_ = request.path_params["id"]
        if id_ not in cloud.reserved:
            raise not_found("ip", id_)
        created = cloud.reserved[id_]
        return JSONResponse({"id": id_, "address": "51.15.0.9/32", "created_at": created, "updated_at": created})

    def by_id(handler: Callable[[str], Response]) -> Handler:
        return lambda request, _body: handler(request.path_params["id"])

    def with_body(handler: Callable[[str, Thing], Response]) -> Handler:
        return lambda request, body: handler(request.path_params["id"], json.loads(body))

    images = lambda: cloud.public | cloud.images  # noqa: E731, as the tables below
    servers, keys, groups = lambda: cloud.servers, lambda: cloud.keys, lambda: cloud.groups
    volumes, old, snapshots = lambda: cloud.volumes, lambda: cloud.old_volumes, lambda: cloud.snapshots
    return Starlette(
        routes=[
            route(f"{instance}/products/servers", all_types, "GET"),
            listed(instance, "servers", of_project(servers, "project")),
            route(f"{instance}/servers", lambda _request, body: cloud.create_server(json.loads(body)), "POST"),
            one(instance, "servers/{id}", "GET", "instance_server", servers, got(servers, "server")),
            one(instance, "servers/{id}", "PATCH", "instance_server", servers, changed(servers, "server")),
            one(instance, "servers/{id}", "DELETE", "instance_server", servers, by_id(cloud.delete_server)),
            one(instance, "servers/{id}/action", "POST", "instance_server", servers, with_body(cloud.act)),
            one(instance, "servers/{id}/user_data/cloud-init", "PATCH", "instance_server", servers, set_user_data),
            listed(instance, "images", of_project(lambda: cloud.images, "project")),
            one(instance, "images/{id}", "GET", "instance_image", images, got(images, "image")),
            one(instance, "images/{id}", "PATCH", "instance_image", images, changed(images, "image")),
            one(instance, "images/{id}", "DELETE", "instance_image", lambda: cloud.images, by_id(cloud.delete_image)),
            listed(instance, "ips", of_project(lambda: cloud.ips, "project")),
            one(instance, "ips/{id}", "DELETE", "instance_ip", lambda: cloud.ips, gone(lambda: cloud.ips)),
            listed(instance, "volumes", of_project(old, "project")),
            one(instance, "volumes/{id}", "DELETE", "instance_volume", old, gone(old)),
            listed(instance, "security_groups", of_project(groups, "project")),
            route(f"{instance}/security_groups", lambda _request, body: cloud.create_group(json.loads(body)), "POST"),
            one(
                instance,
                "security_groups/{id}",
                "PATCH",
                "instance_security_group",
                groups,
                changed(groups, "security_group"),
            ),
            listed(
                instance,
                "security_groups/{id}/rules",
                lambda request: cloud.rules[request.path_params["id"]],
                "rules",
            ),
            one(
                instance,
                "security_groups/{id}/rules",
                "PUT",
                "instance_security_group",
                groups,
                with_body(cloud.set_rules),
            ),
            listed(block, "volumes", of_project(volumes, "project_id")),
            one(block, "volumes/{id}", "GET", "volume", volumes, got(volumes)),
            one(block, "volumes/{id}", "DELETE", "volume", volumes, gone(volumes)),
            listed(block, "snapshots", of_project(snapshots, "project_id")),
            one(block, "snapshots/{id}", "GET", "snapshot", snapshots, got(snapshots)),
            one(block, "snapshots/{id}", "DELETE", "snapshot", snapshots, gone(snapshots)),
            listed("/iam/v1alpha1", "ssh-keys", of_project(keys, "project_id")),
            route("/iam/v1alpha1/ssh-keys", create_key, "POST"),
            one("/iam/v1alpha1", "ssh-keys/{id}", "DELETE", "ssh_key", keys, gone(keys)),
            route("/ipam/v1/regions/fr-par/ips/{id}", ipam, "GET"),
            listed("/marketplace/v2", "local-images", local_images),
            listed("/marketplace/v2", "images", market),
        ]
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A face of Scaleway's API that the SDK can reach."""

    account: Account
    face: Scaleway

    def billed(self) -> set[str]:
        """Name all that costs money."""
        return self.face.billed()


@contextmanager
def serving(directory: Path, wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> Iterator[Served]:
    """Serve an empty project on a free port of the loopback; `wrap` may spoil what passes."""
    face, file = Scaleway(), directory / "secret-key"
    file.write_text(SECRET)
    with listening(wrap(create_app(face))) as origin:
        yield Served(Account("here", "scaleway", str(file), origin, ZONE, PROJECT), face)
