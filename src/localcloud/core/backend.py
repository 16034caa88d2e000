"""The seam between the API and the machines: what the API may ask of the backend that runs its servers.

Every method is synchronous, idempotent and level-triggered: it brings about the state it names and returns when that
state is true inside the machine, so that a call repeated after a crash is harmless. A method that cannot do so raises
`BackendError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class BackendError(Exception):
    """The host could not do what was asked; the message is one line that says what failed."""


# What a backend may raise: a full disk is not anticipated everywhere, but is no fault of the program.
FAILURES = (BackendError, OSError)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the backend must know to boot a server."""

    id: int
    name: str
    image: str  # name of an image the backend holds: a system image or `snapshot-<id>`
    ipv4: str  # its public address on the bridge
    cores: int
    memory_gb: float
    user_data: str
    ssh_public_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One firewall rule, as the API states it."""

    direction: str  # "in" or "out"
    protocol: str  # tcp, udp, icmp, esp or gre
    port: str | None  # "22" or "80-90"; None where the protocol has no ports
    networks: tuple[str, ...]  # sources for "in", destinations for "out", in CIDR notation


class Backend(Protocol):
    def images(self) -> Sequence[str]:
        """Name the images that machines can be made from."""

    def create(self, machine: Machine) -> None:
        """Make the machine's root, network and seed; it stays off."""

    def start(self, machine: Machine) -> None:
        """Boot a machine that is off; return once its init runs."""

    def stop(self, machine: Machine, *, force: bool) -> None:
        """Shut the machine down cleanly, or with `force` pull its plug."""

    def shutdown(self, machine: Machine) -> None:
        """Press the power button of a machine, and do not wait: it may take time, or ignore it."""

    def powered_off(self, machine_id: int) -> bool:
        """Tell whether a machine that is off switched itself off, rather than rebooting or being killed."""

    def delete(self, machine: Machine) -> None:
        """Remove the machine, its root, network and seed."""

    def running(self) -> frozenset[int]:
        """Return the ids of the machines that are running."""

    def snapshot(self, machine: Machine, image: str) -> int:
        """Save the machine's root as `image`; return its size in bytes."""

    def delete_image(self, image: str) -> None:
        """Remove a snapshot."""

    def create_volume(self, volume_id: int, size_gb: int, filesystem: str | None) -> None:
        """Make a block device of `size_gb`, formatted (ext4 or xfs) if a filesystem is named."""

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        """Grow the block device; its owner grows the filesystem."""

    def delete_volume(self, volume_id: int) -> None:
        """Remove the block device and its data."""

    def attach_volumes(self, machine: Machine, volume_ids: Sequence[int]) -> None:
        """Show just these volumes as `/dev/disk/by-id/scsi-0HC_Volume_<id>` inside the machine, or once it boots."""

    def filter(self, rules: Mapping[str, Sequence[Rule] | None]) -> None:
        """Replace the packet filter of all machines at once, by IPv4 address; None means no firewall applies."""
