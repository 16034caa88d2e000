"""What the local cloud knows: one frozen record per resource.

Only wanted states and facts are stored. What can be derived (a server's status, its lock, what a label selector
matches) is derived when somebody asks, so that it cannot be stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

type Labels = Mapping[str, str]
type Power = Literal["running", "off"]
type Direction = Literal["in", "out"]
type Protocol = Literal["tcp", "udp", "icmp", "esp", "gre"]
type ActionStatus = Literal["running", "success", "error"]


@dataclass(frozen=True, slots=True)
class Resource:
    """What every resource of a project has; `created` is an ISO 8601 time in UTC."""

    id: int
    project: str
    name: str
    created: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class SshKey(Resource):
    public_key: str
    fingerprint: str  # MD5 in hex with colons, as the API states it


@dataclass(frozen=True, slots=True)
class Server(Resource):
    server_type: str
    location: str
    image: str  # its name in the backend: a system image or `snapshot-<id>`
    user_data: str
    ssh_public_keys: tuple[str, ...]
    primary_ip: int | None
    wanted: Power
    protected: bool = False  # delete and rebuild alike: the API does not let them differ


@dataclass(frozen=True, slots=True)
class FirewallRule:
    direction: Direction
    protocol: Protocol
    port: str | None
    source_ips: tuple[str, ...]
    destination_ips: tuple[str, ...]
    description: str | None


@dataclass(frozen=True, slots=True)
class Firewall(Resource):
    rules: tuple[FirewallRule, ...] = ()
    servers: tuple[int, ...] = ()
    selectors: tuple[str, ...] = ()  # label selectors: servers they match have the firewall too


@dataclass(frozen=True, slots=True)
class Volume(Resource):
    location: str
    size: int  # GB
    format: str | None
    server: int | None = None
    protected: bool = False


@dataclass(frozen=True, slots=True)
class PrimaryIp(Resource):
    location: str
    ip: str
    auto_delete: bool  # deleted with its server
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Image(Resource):
    """A snapshot; its `name` is what the API calls its description. System images are in the catalogue."""

    server_id: int
    server_name: str
    disk_gb: int
    size_bytes: int | None = None  # None until the snapshot is complete
    protected: bool = False


SNAPSHOT = "snapshot-"  # comes before the id in a snapshot's name in the backend


def snapshot_name(image_id: int) -> str:
    """Return a snapshot's name in the backend."""
    return f"{SNAPSHOT}{image_id}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource by the name of its type in the API (`server`, `volume`, …) and its id."""

    type: str
    id: int


@dataclass(frozen=True, slots=True)
class Action:
    """One piece of work: stored before it begins, so that a crash cannot lose it."""

    id: int
    project: str
    command: str
    resources: tuple[Reference, ...]
    started: str
    argument: int = 0  # what the work needs beyond its resources; resize_volume: GB
    status: ActionStatus = "running"
    finished: str | None = None
    error: tuple[str, str] | None = None  # code and message of a failed action

    def id_of(self, kind: str) -> int:
        """Return the id of the action's resource of that type; raises StopIteration if it has none."""
        return next(ref.id for ref in self.resources if ref.type == kind)
