"""The machines' network: machines see each other only through the host, so that every packet passes the filter.

Each machine has a network namespace of its own, joined to the host by a veth pair, and a route of 32 bits points there,
as on Hetzner's hosts. `parrotpark0` is a bridge without ports: it only carries the cloud's own addresses.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

from localcloud.machine.process import run
from localcloud.paths import BRIDGE, GATEWAY, METADATA, NETWORK, STATE

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORMER_IP_FORWARD = STATE / "former-ip-forward"
PREFIX = "parrotpark-"  # of network namespaces


def namespace(machine_id: int) -> str:
    """Name the network namespace of a machine."""
    return f"{PREFIX}{machine_id}"


def host_end(ipv4: str) -> str:
    """Name the host's end of a machine's veth pair: `parrotpark12` leads to 10.77.0.12."""
    return f"parrotpark{IPv4Address(ipv4).packed[-1]}"


def mac(ipv4: str) -> str:
    """Derive a MAC address from an IPv4 address: a machine that comes back must not meet a stale ARP entry."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(ipv4).packed)


def ensure_bridge() -> None:
    """Bring up the cloud's own addresses and let the host forward."""
    if not FORMER_IP_FORWARD.exists():
        FORMER_IP_FORWARD.write_text(IP_FORWARD.read_text())
    IP_FORWARD.write_text("1\n")
    if not _exists(BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    for address in (f"{GATEWAY}/{NETWORK.prefixlen}", f"{METADATA}/32"):
        run("ip", "address", "replace", address, "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    """Remove the cloud's own addresses and restore the forwarding setting."""
    if _exists(BRIDGE):
        run("ip", "link", "delete", BRIDGE)
    if FORMER_IP_FORWARD.exists():
        IP_FORWARD.write_text(FORMER_IP_FORWARD.read_text())
        FORMER_IP_FORWARD.unlink()


def ensure_machine(machine_id: int, ipv4: str) -> Path:
    """Give a machine its network namespace with its address; return the namespace's path."""
    name, link = namespace(machine_id), host_end(ipv4)
    path = Path("/run/netns") / name
    if name in _namespaces() and f" {ipv4}/32 " in run("ip", "-n", name, "-brief", "address"):
        return path
    remove_machine(machine_id)
    if _exists(link):
        run("ip", "link", "delete", link)
    run("ip", "netns", "add", name)
    run("ip", "link", "add", link, "address", mac(str(GATEWAY)), "type", "veth",
        "peer", "name", "eth0", "address", mac(ipv4), "netns", name)  # fmt: skip
    run("ip", "link", "set", link, "addrgenmode", "none", "up")  # IPv4 only, as the packet filter is
    run("ip", "route", "replace", f"{ipv4}/32", "dev", link, "src", str(GATEWAY))
    inside = [
        "link set lo up",
        "link set eth0 addrgenmode none up",
        f"address add {ipv4}/32 dev eth0",
        f"route add {GATEWAY} dev eth0 src {ipv4}",
        f"route add default via {GATEWAY} dev eth0 src {ipv4}",
    ]
    run("ip", "-n", name, "-batch", "-", stdin="\n".join(inside) + "\n")
    return path


def remove_machine(machine_id: int) -> None:
    """Remove a machine's network namespace; its veth pair goes with it."""
    if namespace(machine_id) in _namespaces():
        run("ip", "netns", "delete", namespace(machine_id))


def remove_machines() -> None:
    """Remove all machines' networks."""
    for link in Path("/sys/class/net").glob("parrotpark*"):
        if link.name != BRIDGE:
            run("ip", "link", "delete", link.name)
    for name in _namespaces():
        run("ip", "netns", "delete", name)


def resolvers() -> str:
    """Render the host's name servers, as resolv.conf, except those that only the host can reach."""
    # Where systemd-resolved answers on the host's loopback, this file names the servers behind it.
    upstream = Path("/run/systemd/resolve/resolv.conf")
    lines = (upstream if upstream.exists() else Path("/etc/resolv.conf")).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("nameserver 127.", "nameserver ::1")))


def name_servers() -> list[IPv4Address]:
    """List the machines' name servers; the host may be one of them."""
    asked = [line.split()[1] for line in resolvers().splitlines() if line.startswith("nameserver ")]
    return [IPv4Address(address) for address in asked if ":" not in address]


def _namespaces() -> list[str]:
    listed = json.loads(run("ip", "-json", "netns", "list") or "[]")
    return [entry["name"] for entry in listed if entry["name"].startswith(PREFIX)]


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()
