"""OpenStack without machines: as much of its APIs as our provider calls, in memory, on one port of the loopback.

What it answers was seen of the real one, which `tests/openstack` runs: pytest's option --openstack compares the two.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from parrotpark.cloud import Account
from tests.cloud_in_memory import listening

type Wrap = Callable[[ASGIApp], ASGIApp]
type Thing = dict[str, Any]
type Table = dict[str, Thing]

REGION, PROJECT, USER, PASSWORD = "RegionOne", "p" * 32, "tester", "sesame-open-the-double"
FLAVOURS = {"l4-90": (22, 90_000, 400), "b2-7": (2, 7_000, 50), "h100-9000": (2_000, 90_000, 400)}
NOWHERE = "h100-9000"  # nobody has machines of this flavour
IMAGE, NETWORK, RANGE = "Debian 13", "Ext-Net", ip_network("203.0.113.0/24")
MICROVERSION = (2, 104)
_MOST_METADATA, _LONGEST_VALUE, _LONGEST_USER_DATA = 128, 255, 65_535


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class OpenStack:
    """One region of one project; what goes on behind its calls goes on while `work` is called, and not before."""

    servers: Table = field(default_factory=dict)
    images: Table = field(default_factory=dict)
    keys: Table = field(default_factory=dict)
    groups: Table = field(default_factory=dict)
    ports: Table = field(default_factory=dict)
    floating: Table = field(default_factory=dict)
    volumes: Table = field(default_factory=dict)
    networks: Table = field(default_factory=dict)
    flavours: Table = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    faults: set[str] = field(default_factory=set)  # what fails in the background: spawn, spawn-hangs, snapshot
    services: set[str] = field(default_factory=lambda: set(_APPS))
    most_servers: int = 5
    most_cores: int = -1  # as many as one likes
    most_memory: int = -1  # MB
    role: str = "member"
    microversion: tuple[int, int] = MICROVERSION
    _waiting: list[Callable[[], None]] = field(default_factory=list)
    _addresses: Iterator[int] = field(default_factory=lambda: itertools.count(10))

    def __post_init__(self) -> None:
        for name, (vcpus, ram, disk) in FLAVOURS.items():
            _put(self.flavours, name=name, vcpus=vcpus, ram=ram, disk=disk)
        self.add_image(IMAGE, "public")
        self.add_network(NETWORK)
        self.add_group("default")

    def clear(self) -> None:
        """Forget all that the project has made."""
        for table in (self.servers, self.keys, self.groups, self.ports, self.floating, self.volumes, self._waiting):
            table.clear()
        for image in [image for image in self.images.values() if image["visibility"] == "private"]:
            del self.images[image["id"]]
        self._addresses = itertools.count(10)
        self.add_group("default")

    def add_image(self, name: str, visibility: str = "private", **more: Any) -> Thing:
        """Put an image there that can be booted from."""
        form: Thing = {
            "tags": [],
            "min_disk": 0,
            "min_ram": 0,
            "owner": PROJECT,
            "status": "active",
            "created_at": now(),
        }
        return _put(self.images, name=name, visibility=visibility, **form, **more)

    def add_network(self, name: str, *, external: bool = True, shared: bool = True) -> Thing:
        """Put a network there."""
        return _put(self.networks, name=name, shared=shared, **{"router:external": external})

    def add_group(self, name: str) -> Thing:
        """Put a security group there, with the rules that each begins with."""
        group = _put(self.groups, name=name, security_group_rules=[], project_id=PROJECT)
        for family in ("IPv4", "IPv6"):
            rule = {"direction": "egress", "ethertype": family, "protocol": None, "remote_ip_prefix": None}
            group["security_group_rules"].append(_rule(group["id"], rule))
        return group

    def add_port(self, network: Thing, device_id: str = "", **more: object) -> Thing:
        """Put a port there, with an address of its network."""
        address = str(RANGE[next(self._addresses)])
        owner = "compute:nova" if device_id else ""
        form = {"network_id": network["id"], "device_id": device_id, "device_owner": owner, "project_id": PROJECT}
        fixed = [{"ip_address": address, "subnet_id": "s"}]
        return _put(self.ports, **{"name": "", "tags": [], "created_at": now(), "fixed_ips": fixed} | form | more)

    def add_floating(self, **more: object) -> Thing:
        """Put a floating IP there."""
        address = str(RANGE[next(self._addresses)])
        form: Thing = {"floating_ip_address": address, "port_id": None, "tags": [], "created_at": now()}
        return _put(self.floating, **form | more)

    def add_volume(self, name: str, **more: object) -> Thing:
        """Put a volume there that no server has."""
        form = {"name": name, "size": 10, "attachments": [], "metadata": {}, "status": "available"}
        # cinder's times do not say that they are UTC
        return _put(self.volumes, **form | {"created_at": now().rstrip("Z")} | more)

    def work(self, _seconds: float = 0) -> None:
        """Do what waits to be done, in place of sleeping for so many seconds."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def later(self, work: Callable[[], None]) -> None:
        """Do it when `work` is called next."""
        self._waiting.append(work)

    def billed(self) -> Set[str]:
        """Name all that costs money, each as its kind, a space, and its id."""
        owned = {
            "server": self.servers,
            "volume": self.volumes,
            "image": {id_: image for id_, image in self.images.items() if image["visibility"] == "private"},
            "address": self.floating | {id_: port for id_, port in self.ports.items() if not port["device_id"]},
        }
        return {f"{kind} {id_}" for kind, table in owned.items() for id_ in table}


def now() -> str:
    """Return the time as nova and glance write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _put(table: Table, **thing: Any) -> Thing:
    id_ = str(uuid.uuid4())
    table[id_] = {"id": id_, **thing}
    return table[id_]


def _get(table: Table, id_: str, message: str) -> Thing:
    if id_ not in table:
        raise Refused(404, message)
    return table[id_]


# ---- nova ----------------------------------------------------------------------------------------------------------


class Nova:
    """Servers, flavours, keys."""

    def __init__(self, state: OpenStack) -> None:
        self._state = state

    def routes(self) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        """Name the calls: method, path, and what answers; a number among its answers is the status."""
        yield "GET", "/servers/detail", self.servers
        yield "POST", "/servers", self.create
        yield "GET", "/servers/{id}", self.server
        yield "DELETE", "/servers/{id}", self.delete
        yield "POST", "/servers/{id}/action", self.action
        yield "PUT", "/servers/{id}/metadata", self.relabel
        yield "GET", "/flavors/detail", lambda _: {"flavors": list(self._state.flavours.values())}
        yield "GET", "/flavors", lambda _: {"flavors": list(self._state.flavours.values())}
        yield "GET", "/flavors/{id}", self.flavour
        yield "GET", "/limits", self.limits
        yield "GET", "/os-availability-zone", lambda _: {"availabilityZoneInfo": [_ZONE]}
        yield "GET", "/os-keypairs", lambda _: {"keypairs": [{"keypair": key} for key in self._state.keys.values()]}
        yield "POST", "/os-keypairs", self.add_key
        yield "GET", "/os-keypairs/{id}", lambda call: {"keypair": self._key(call.id)}
        yield "DELETE", "/os-keypairs/{id}", self.drop_key

    def servers(self, call: Call) -> Thing:
        return {"servers": [self._shown(server, call) for server in reversed(self._state.servers.values())]}

    def server(self, call: Call) -> Thing:
        return {"server": self._shown(self._server(call.id), call)}

    def limits(self, _: Call) -> Thing:
        state = self._state
        most = {"maxTotalInstances": state.most_servers, "maxTotalCores": state.most_cores}
        used = {"totalInstancesUsed": len(state.servers)}
        return {"limits": {"rate": [], "absolute": {**most, **used, "maxTotalRAMSize": state.most_memory}}}

    def flavour(self, call: Call) -> Thing:
        return {"flavor": _get(self._state.flavours, call.id, f"Flavor {call.id} could not be found.")}

    def create(self, call: Call) -> tuple[int, Thing]:
        """Accept a server; what is wrong with it comes in the order in which nova looks."""
        state, wanted = self._state, call.body["server"]
        _check_metadata(wanted["metadata"])
        if len(wanted.get("user_data", "")) > _LONGEST_USER_DATA:
            raise Refused(400, f"Invalid input for field/attribute user_data. Value: {wanted['user_data']}. too long")
        if wanted["availability_zone"] != _ZONE["zoneName"]:
            raise Refused(400, "The requested availability zone is not available")
        flavour = state.flavours.get(wanted["flavorRef"])
        if flavour is None:
            raise Refused(400, f"Flavor {wanted['flavorRef']} could not be found.")
        image = state.images.get(wanted["imageRef"])
        if image is None or image["status"] != "active":
            raise Refused(400, "Can not find requested image")
        if image["min_disk"] > flavour["disk"]:
            raise Refused(400, "Flavor's disk is smaller than the minimum size specified in image metadata.")
        if wanted.get("key_name") not in (None, *state.keys):
            raise Refused(400, "Invalid key_name provided.")
        for group in wanted.get("security_groups", ()):
            if group["name"] not in state.groups:
                raise Refused(400, f"Unable to find security_group with name or id '{group['name']}'")
        if len(state.servers) >= state.most_servers:
            used = f"{len(state.servers)} of {state.most_servers}"
            raise Refused(403, f"Quota exceeded for instances: Requested 1, but already used {used} instances")
        network = _get(state.networks, wanted["networks"][0]["uuid"], "Network could not be found.")
        server = _put(
            state.servers,
            name=wanted["name"],
            status="BUILD",
            metadata=wanted["metadata"],
            created=now(),
            flavour=flavour,
            image={"id": image["id"]},
            network=network,
            addresses={},
            **{
                "OS-EXT-STS:task_state": "scheduling",
                "OS-EXT-STS:vm_state": "building",
                "OS-EXT-AZ:availability_zone": "",
            },
        )
        state.later(lambda: self._spawn(server))
        return 202, {"server": {"id": server["id"], "links": [], "adminPass": "x", "OS-DCF:diskConfig": "MANUAL"}}

    def delete(self, call: Call) -> None:
        server = self._server(call.id)
        server["OS-EXT-STS:task_state"] = "deleting"
        self._state.later(lambda: self._destroy(server))

    def relabel(self, call: Call) -> Thing:
        server = self._server(call.id)
        if server["status"] == "ERROR":
            raise Refused(409, f"Cannot 'update metadata' instance {call.id} while it is in vm_state error")
        _check_metadata(call.body["metadata"])
        server["metadata"] = call.body["metadata"]
        return {"metadata": server["metadata"]}

    def action(self, call: Call) -> tuple[int, Thing | None]:
        server, (name, details) = self._server(call.id), next(iter(call.body.items()))
        said = "stop" if name == "os-stop" else name
        if server["OS-EXT-STS:task_state"]:
            state = f"task_state {server['OS-EXT-STS:task_state']}"
            raise Refused(409, f"Cannot '{said}' instance {call.id} while it is in {state}")
        if server["status"] == "ERROR" or (said == "stop" and server["status"] == "SHUTOFF"):
            state = f"vm_state {server['OS-EXT-STS:vm_state']}"
            raise Refused(409, f"Cannot '{said}' instance {call.id} while it is in {state}")
        if said == "stop":
            server["OS-EXT-STS:task_state"] = "powering-off"
            self._state.later(lambda: self._settle(server, "SHUTOFF", "stopped"))
            return 202, None
        return 202, {"image_id": self._begin_image(server, details)["id"]}

    def add_key(self, call: Call) -> tuple[int, Thing]:
        key = call.body["keypair"]
        if key["name"] in self._state.keys:
            raise Refused(409, f"Key pair '{key['name']}' already exists.")
        self._state.keys[key["name"]] = {"name": key["name"], "public_key": key["public_key"], "type": "ssh"}
        return 201, {"keypair": self._state.keys[key["name"]]}

    def drop_key(self, call: Call) -> None:
        del self._state.keys[self._key(call.id)["name"]]

    def _key(self, name: str) -> Thing:
        return _get(self._state.keys, name, f"Keypair {name} not found for user {USER}")

    def _server(self, id_: str) -> Thing:
        return _get(self._state.servers, id_, f"Instance {id_} could not be found.")

    def _shown(self, server: Thing, call: Call) -> Thing:
        flavour = server["flavour"]
        embedded = {"original_name": flavour["name"], "vcpus": flavour["vcpus"], "disk": flavour["disk"]}
        shown = {key: value for key, value in server.items() if key not in ("network", "flavour")}
        return shown | {"flavor": embedded if call.microversion >= (2, 47) else {"id": flavour["id"]}}

    def _settle(self, server: Thing, status: str, vm_state: str) -> None:
        if server["OS-EXT-STS:task_state"] != "deleting":
            server |= {"status": status, "OS-EXT-STS:vm_state": vm_state, "OS-EXT-STS:task_state": None}

    def _spawn(self, server: Thing) -> None:
        if "spawn-hangs" in self._state.faults:
            self._state.later(lambda: self._spawn(server))
        elif server["flavour"]["name"] == NOWHERE:
            server["fault"] = {"code": 500, "created": now(), "message": "No valid host was found. "}
            self._settle(server, "ERROR", "error")
        elif "spawn" in self._state.faults:
            server["fault"] = {"code": 500, "created": now(), "message": "spawn does not work today"}
            self._settle(server, "ERROR", "error")
        elif server["OS-EXT-STS:task_state"] != "deleting":
            port = self._state.add_port(server["network"], server["id"])
            address = {"version": 4, "addr": port["fixed_ips"][0]["ip_address"], "OS-EXT-IPS:type": "fixed"}
            server["addresses"] = {server["network"]["name"]: [address]}
            server["OS-EXT-AZ:availability_zone"] = _ZONE["zoneName"]
            self._settle(server, "ACTIVE", "active")

    def _destroy(self, server: Thing) -> None:
        state = self._state
        if "destroy" in state.faults:
            server["OS-EXT-STS:task_state"] = None
            self._settle(server, "ERROR", "error")
            return
        state.servers.pop(server["id"], None)
        for table, key in ((state.ports, "device_id"), (state.images, "instance_uuid")):
            for id_, thing in list(table.items()):
                # nova takes away the image that it can no longer finish
                if thing.get(key) == server["id"] and thing.get("status") != "active":
                    del table[id_]

    def _begin_image(self, server: Thing, details: Thing) -> Thing:
        _check_metadata(details.get("metadata", {}))
        server["OS-EXT-STS:task_state"] = "image_snapshot"
        base = self._state.images.get(server["image"]["id"], {})
        inherited = {key: value for key, value in base.items() if key.startswith("label:")}
        marks = {"image_type": "snapshot", "instance_uuid": server["id"], "base_image_ref": server["image"]["id"]}
        image = self._state.add_image(details["name"], **inherited | marks | details.get("metadata", {}))
        image |= {"status": "queued", "min_disk": server["flavour"]["disk"]}
        self._state.later(lambda: self._upload(server, image))
        return image

    def _upload(self, server: Thing, image: Thing) -> None:
        if "snapshot" in self._state.faults:  # nova takes the image away
            self._state.images.pop(image["id"], None)
            self._settle(server, "SHUTOFF", "stopped")
        elif image["status"] == "queued":
            image["status"] = "saving"
            if server["OS-EXT-STS:task_state"] != "deleting":
                server["OS-EXT-STS:task_state"] = "image_uploading"
            self._state.later(lambda: self._upload(server, image))
        else:
            image["status"] = "active"
            self._settle(server, server["status"], server["OS-EXT-STS:vm_state"])


_ZONE: Thing = {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if len(value) > _LONGEST_VALUE:
            raise Refused(400, f"Invalid input for field/attribute {key}. Value: {value}. '{value}' is too long")
    if len(metadata) > _MOST_METADATA:
        raise Refused(403, f"Maximum number of metadata items exceeds {_MOST_METADATA}")


# ---- glance --------------------------------------------------------------------------------------------------------


class Glance:
    """Images."""

    def __init__(self, state: OpenStack) -> None:
        self._state = state

    def routes(self) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        """Name the calls."""
        yield "GET", "/v2/images", self.images
        yield "GET", "/v2/images/{id}", lambda call: self._image(call.id)
        yield "PATCH", "/v2/images/{id}", self.patch
        yield (
            "DELETE",
            "/v2/images/{id}",
            lambda call: self._state.images.pop(self._image(call.id, " to delete")["id"]) and None,
        )

    def images(self, call: Call) -> Thing:
        wanted = {key: value for key, value in call.query.items() if key in ("name", "visibility")}
        found = [image for image in reversed(self._state.images.values()) if wanted.items() <= image.items()]
        before = [image["id"] for image in found].index(call.query["marker"]) + 1 if "marker" in call.query else 0
        return {"images": found[before:]}

    def delete(self, call: Call) -> None:
        del self._state.images[_get(self._state.images, call.id, f"Failed to find image {call.id} to delete")["id"]]

    def patch(self, call: Call) -> Thing:
        image = self._image(call.id)
        for change in call.body:
            assert change["op"] == "remove"
            del image[change["path"].removeprefix("/")]
        return image

    def _image(self, id_: str, why: str = "") -> Thing:
        return _get(
            self._state.images, id_, f"{'Failed to find image' if why else 'No image found with ID'} {id_}{why}"
        )


# ---- neutron and cinder --------------------------------------------------------------------------------------------


class Neutron:
    """Networks, addresses, security groups."""

    def __init__(self, state: OpenStack) -> None:
        self._state = state

    def routes(self) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        """Name the calls."""
        state = self._state
        yield "GET", "/v2.0/networks", lambda _: {"networks": list(state.networks.values())}
        yield "GET", "/v2.0/floatingips", lambda _: {"floatingips": list(state.floating.values())}
        yield "DELETE", "/v2.0/floatingips/{id}", lambda call: _drop(state.floating, call.id, "Floating IP")
        yield "GET", "/v2.0/ports", self.ports
        yield "DELETE", "/v2.0/ports/{id}", lambda call: _drop(state.ports, call.id, "Port")
        yield "GET", "/v2.0/security-groups", self.groups
        yield "POST", "/v2.0/security-groups", self.add_group
        yield "POST", "/v2.0/security-group-rules", self.add_rule
        yield "DELETE", "/v2.0/security-group-rules/{id}", self.drop_rule

    def ports(self, call: Call) -> Thing:
        wanted = {key: value for key, value in call.query.items() if key in ("device_id", "project_id")}
        return {"ports": [port for port in self._state.ports.values() if wanted.items() <= port.items()]}

    def groups(self, call: Call) -> Thing:
        names = (None, call.query.get("name")) if "name" in call.query else ()
        return {"security_groups": [g for g in self._state.groups.values() if not names or g["name"] in names]}

    def add_group(self, call: Call) -> tuple[int, Thing]:
        return 201, {"security_group": self._state.add_group(call.body["security_group"]["name"])}

    def add_rule(self, call: Call) -> tuple[int, Thing]:
        wanted = call.body["security_group_rule"]
        group = _get(self._state.groups, wanted["security_group_id"], "Security group does not exist")
        rule = _rule(group["id"], wanted)
        for there in group["security_group_rules"]:
            if {**there, "id": None} == {**rule, "id": None}:
                raise Refused(409, f"Security group rule already exists. Rule id is {there['id']}.")
        group["security_group_rules"].append(rule)
        return 201, {"security_group_rule": rule}

    def drop_rule(self, call: Call) -> None:
        for group in self._state.groups.values():
            kept = [rule for rule in group["security_group_rules"] if rule["id"] != call.id]
            if len(kept) < len(group["security_group_rules"]):
                group["security_group_rules"] = kept
                return
        raise Refused(404, f"Security group rule {call.id} does not exist")


class Cinder:
    """Volumes."""

    def __init__(self, state: OpenStack) -> None:
        self._state = state

    def routes(self) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        """Name the calls."""
        yield "GET", f"/v3/{PROJECT}/volumes/detail", lambda _: {"volumes": list(self._state.volumes.values())}
        yield (
            "DELETE",
            f"/v3/{PROJECT}/volumes/{{id}}",
            self.delete,
        )

    def delete(self, call: Call) -> tuple[int, None]:
        _drop(self._state.volumes, call.id, "Volume")
        return 202, None


def _drop(table: Table, id_: str, what: str) -> None:
    del table[_get(table, id_, f"{what} {id_} could not be found")["id"]]


def _rule(group_id: str, wanted: Mapping[str, Any]) -> Thing:
    fields = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    rule = {"id": str(uuid.uuid4()), "security_group_id": group_id, "remote_group_id": None}
    return rule | {name: wanted.get(name) for name in fields}


# ---- keystone, and all of it on one port ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as the services want it."""

    id: str
    query: Mapping[str, str]
    body: Any
    microversion: tuple[int, int]


def _of_nova(refusal: Refused) -> Response:
    names = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
    body = {names[refusal.status]: {"code": refusal.status, "message": refusal.message}}
    return JSONResponse(body, refusal.status)


def _of_glance(refusal: Refused) -> Response:
    title = f"{refusal.status} Not Found"
    page = f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {refusal.message}"
    return HTMLResponse(f"{page}<br /><br />\n\n\n\n </body>\n</html>", refusal.status)


def _of_neutron(refusal: Refused) -> Response:
    return JSONResponse({"NeutronError": {"type": "X", "message": refusal.message, "detail": ""}}, refusal.status)


# By the type in the catalogue: name, path, calls, and how it says no.
_APPS: Mapping[str, tuple[str, str, Callable[[OpenStack], Any], Callable[[Refused], Response]]] = {
    "compute": ("nova", "/compute/v2.1", Nova, _of_nova),
    "image": ("glance", "/image", Glance, _of_glance),
    "network": ("neutron", "/network", Neutron, _of_neutron),
    "block-storage": ("cinder", "/volume", Cinder, _of_nova),
}
_UNAUTHORIZED = {
    "error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}
}


def create_app(state: OpenStack) -> ASGIApp:
    """Make the ASGI application."""
    lock = threading.Lock()

    def answers(handler: Callable[[Call], Any], refused: Callable[[Refused], Response]) -> Callable[..., Any]:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("x-auth-token") not in state.tokens:
                return JSONResponse(_UNAUTHORIZED, 401, {"WWW-Authenticate": 'Keystone uri=""'})
            body = json.loads(await request.body() or "null")
            version = request.headers.get("openstack-api-version", "").partition("compute ")[2] or "2.1"
            major, minor = map(int, version.split("."))
            call = Call(request.path_params.get("id", ""), dict(request.query_params), body, (major, minor))
            try:
                with lock:
                    answer = handler(call)
            except Refused as refusal:
                return refused(refusal)
            status, content = answer if isinstance(answer, tuple) else (200 if answer is not None else 204, answer)
            return Response(status_code=status) if content is None else JSONResponse(content, status)

        return endpoint

    routes = [Route(path, _says(document)) for path, document in _discovery(state).items()]
    routes.append(Route("/identity/v3/auth/tokens", partial(_log_in, state), methods=["POST"]))
    for _, path, service, refused in _APPS.values():
        for method, route, handler in service(state).routes():
            routes.append(Route(f"{path}{route}", answers(handler, refused), methods=[method]))
    return Starlette(routes=routes)


def _discovery(state: OpenStack) -> Mapping[str, Callable[[str], Thing]]:
    """Return what each service says of its versions, by path; given where the service is."""
    highest = ".".join(map(str, state.microversion))
    nova = {"version": highest, "min_version": "2.1", "status": "CURRENT", "id": "v2.1"}
    cinder = {"version": "3.71", "min_version": "3.0", "status": "CURRENT", "id": "v3.0"}
    return {
        "/identity/v3": lambda base: {"version": _at(f"{base}identity/v3/", id="v3.14", status="stable")},
        "/compute/v2.1": lambda base: {"version": _at(f"{base}compute/v2.1/", **nova)},
        "/image": lambda base: {"versions": [_at(f"{base}image/v2/", id="v2.17", status="CURRENT")]},
        "/network": lambda base: {"versions": [_at(f"{base}network/v2.0/", id="v2.0", status="CURRENT")]},
        f"/volume/v3/{PROJECT}": lambda base: {"versions": [_at(f"{base}volume/v3/", **cinder)]},
        "/volume/v3/": lambda base: {"versions": [_at(f"{base}volume/v3/", **cinder)]},
    }


def _at(url: str, **version: str) -> Thing:
    return {**version, "links": [{"rel": "self", "href": url}]}


def _says(document: Callable[[str], Thing]) -> Callable[..., Any]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(document(str(request.base_url)))

    return endpoint


async def _log_in(state: OpenStack, request: Request) -> Response:
    auth = (await request.json())["auth"]
    identity = auth["identity"]
    user = identity.get("password", {}).get("user", {})
    application = identity.get("application_credential", {})
    scope = auth.get("scope", {}).get("project", {"id": PROJECT})
    # An application credential is of one project, and must not name it.
    good = application == {"id": USER, "secret": PASSWORD} and "scope" not in auth
    good |= (user.get("name"), user.get("password"), scope.get("id")) == (USER, PASSWORD, PROJECT)
    if not good:
        return JSONResponse(_UNAUTHORIZED, 401)
    token = uuid.uuid4().hex
    state.tokens.add(token)
    until = datetime.fromtimestamp(time.time() + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    project = {"id": PROJECT, "name": "test", "domain": {"id": "default", "name": "Default"}}
    body: Thing = {"methods": ["password"], "user": {"id": "u" * 32, "name": USER}, "project": project}
    body |= {"expires_at": until, "issued_at": until, "audit_ids": [], "roles": [{"id": "r", "name": state.role}]}
    body["catalog"] = [_entry(kind, name, str(request.base_url)) for kind, name in _offered(state)]
    return JSONResponse({"token": body}, 201, {"X-Subject-Token": token})


def _offered(state: OpenStack) -> Iterator[tuple[str, str]]:
    yield "identity", "identity/v3"
    for kind, (_, path, _, _) in _APPS.items():
        if kind in state.services:
            yield kind, path.removeprefix("/") + (f"/v3/{PROJECT}" if kind == "block-storage" else "")


def _entry(kind: str, path: str, base: str) -> Thing:
    url = {"id": uuid.uuid4().hex, "interface": "public", "region_id": REGION, "region": REGION, "url": f"{base}{path}"}
    return {"id": uuid.uuid4().hex, "type": kind, "name": kind, "endpoints": [url]}


@dataclass(frozen=True, slots=True)
class Served:
    """OpenStack in memory that real clients can reach."""

    account: Account
    state: OpenStack

    def billed(self) -> Set[str]:
        """Name all in the project that costs money."""
        return self.state.billed()

    def work(self, seconds: float = 0) -> None:
        """Do what waits to be done, in place of sleeping."""
        self.state.work(seconds)


def clouds_yaml(endpoint: str, password: str = PASSWORD) -> str:
    """Write the file that opens the project."""
    return f"""clouds:
  double:
    auth:
      auth_url: {endpoint}
      username: {USER}
      password: {password}
      project_id: {PROJECT}
      user_domain_id: default
    region_name: {REGION}
"""


@contextmanager
def serving(
    directory: Path, wrap: Wrap = lambda app: app, microversion: tuple[int, int] = MICROVERSION
) -> Iterator[Served]:
    """Serve an empty project on a free port of the loopback."""
    state = OpenStack(microversion=microversion)
    file = directory / "clouds.yaml"
    with listening(wrap(create_app(state))) as origin:
        file.write_text(clouds_yaml(f"{origin}/identity/v3"))
        yield Served(Account("here", "openstack", str(file)), state)
