"""Where the local cloud keeps things, and the addresses it answers on: listed once, so that `down` can undo all."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

STATE = Path("/var/lib/parrotpark/localcloud")
LAYERS = STATE / "layers"
IMAGES = STATE / "images"
MACHINES = STATE / "machines"
VOLUMES = STATE / "volumes"
REGISTRY = STATE / "registry"
S3 = STATE / "s3"
PODMAN = STATE / "containers"
TOKENS = STATE / "tokens"
LOGS = STATE / "log"
ARTIFACTS = STATE / "artifacts"  # what the demo builds

INVENTORY_STATE = STATE.parent / "local"  # secrets and SSH keys of the local inventory

RUNTIME = Path("/run/parrotpark")  # a tmpfs: what is here ends with the host's uptime

BRIDGE = "parrotpark0"
NETWORK = IPv4Network("10.77.0.0/24")
GATEWAY = IPv4Address("10.77.0.1")
METADATA = IPv4Address("169.254.169.254")
API_PORT = 8770
REGISTRY_PORT = 5000
S3_PORT = 7070
METADATA_PORT = 80

# All that machines can reach on this host, by TCP, besides its name servers.
SERVICES = ((GATEWAY, API_PORT), (GATEWAY, REGISTRY_PORT), (GATEWAY, S3_PORT), (METADATA, METADATA_PORT))
