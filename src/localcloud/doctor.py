"""Says whether this machine can carry the local cloud, and what `make up` will do to it.

Runs as a plain file with the system's Python (3.11 or later) alone: it is asked before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = Path("/var/lib/parrotpark/localcloud")
API_PORT, CHAT_PORT = 8770, 8443
NETWORK = "10.77.0"  # its first three bytes
MEMORY_GIB, DISK_GIB = 16, 30

# What has to be there, and the package of Debian and Ubuntu that brings it.
NEEDED = {
    "podman": "podman",
    "/usr/lib/podman/netavark": "netavark",
    "mmdebstrap": "mmdebstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "nft": "nftables",
    "ip": "iproute2",
    "losetup": "mount",
    "nsenter": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "node": "nodejs",
    "npm": "npm",
    "zstd": "zstd",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}

PLAN = f"""\
make up will
  install     these packages, by apt: {{packages}}
  download    about 5 GB: Python and Debian packages, and the models inside two of them
  create      {STATE.parent} with all data, .venv and inventories/local/.state in this folder
  add         network interfaces parrotpark*, the nftables table `inet parrotpark`, a few loop devices
  set         net.ipv4.ip_forward=1
make down takes all of it away again but the packages; make stop keeps the data."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: str  # "ok", "warning" or "error"
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """Tell of something good."""
    return Finding("ok", text)


def missing_packages() -> list[str]:
    """List the packages that have to be installed."""
    needed = dict(NEEDED)
    if not unified_cgroups():
        needed["runc"] = "runc"  # crun refuses that tree
    packages = [package for what, package in needed.items() if not _is_there(what)]
    return packages if importlib.util.find_spec("ensurepip") else [*packages, "python3-venv"]


def unified_cgroups() -> bool:
    """Tell whether the host has cgroup v2 alone."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def running() -> bool:
    """Tell whether a local cloud runs already: then its ports and its space are taken by itself."""
    try:
        with (STATE / "daemon.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def check_root() -> Iterator[Finding]:
    """Machines, networks and devices are root's to make."""
    if os.geteuid() == 0:
        yield ok("runs as root")
    else:
        yield Finding("error", "not root", "run it with sudo")


def check_packages() -> Iterator[Finding]:
    """All programs are there or can be installed."""
    missing = missing_packages()
    if not missing:
        yield ok("all packages are installed")
    elif shutil.which("apt-get"):
        yield ok(f"to be installed by apt: {' '.join(missing)}")
    else:
        yield Finding("error", f"missing, and there is no apt: {' '.join(missing)}", "install them yourself")


def check_kernel() -> Iterator[Finding]:
    """The kernel has what machines are made of."""
    if unified_cgroups() or Path("/sys/fs/cgroup/systemd").is_dir():
        yield ok(f"cgroups: {'v2' if unified_cgroups() else 'v1, with runc'}")
    else:
        yield Finding("error", "no cgroups under /sys/fs/cgroup", "boot with systemd, or mount them")
    for device, module in (("/dev/loop-control", "loop"), ("/dev/net/tun", "tun"), ("/dev/fuse", "fuse")):
        if Path(device).exists():
            yield ok(f"{device} is there")
        else:
            yield Finding("error", f"{device} is missing", f"modprobe {module}")
    if "overlay" in Path("/proc/filesystems").read_text().split():
        yield ok("overlay file systems work")
    else:
        yield Finding("error", "the kernel has no overlay file system", "modprobe overlay")


def check_room() -> Iterator[Finding]:
    """Memory and disk suffice."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    memory = int(lines["MemTotal"].split()[0]) / 2**20
    if memory >= MEMORY_GIB * 0.95:  # the kernel keeps some of what was bought for itself
        yield ok(f"{memory:.0f} GiB of memory")
    else:
        yield Finding("error", f"{memory:.0f} GiB of memory", f"{MEMORY_GIB} GiB are needed")
    place = next(path for path in (STATE, *STATE.parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free >= DISK_GIB or (STATE / "state.json").exists():
        yield ok(f"{free:.0f} GiB free below {place}")
    else:
        fix = f"{DISK_GIB} GiB are needed: make room, or mount a larger disk at {STATE.parent}"
        yield Finding("error", f"{free:.0f} GiB free below {place}", fix)


def check_network() -> Iterator[Finding]:
    """Ports and addresses are free."""
    if running():
        yield ok("a local cloud runs already")
        return
    for port, use in ((API_PORT, "cloud API"), (CHAT_PORT, "chat")):
        try:
            socket.create_server(("127.0.0.1", port)).close()
            yield ok(f"port {port} is free ({use})")
        except OSError:
            yield Finding("error", f"port {port} is taken ({use})", f"see who has it: ss -ltnp 'sport = :{port}'")
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        address = ".".join(str(byte) for byte in reversed(bytes.fromhex(destination)))
        if address.startswith(f"{NETWORK}.") and not interface.startswith("parrotpark"):
            yield Finding("error", f"{NETWORK}.0/24 is in use on {interface}", "free that network")


def check_filters() -> Iterator[Finding]:
    """No other packet filter stops what machines send; Docker's and ufw's would."""
    rules = _output("iptables", "-S") if _is_there("iptables") else ""
    through = "DOCKER-USER" if "-N DOCKER-USER" in rules else "FORWARD"
    wanted = {"INPUT": ["INPUT -i"], "FORWARD": [f"{through} -i", f"{through} -o"]}
    missing = [
        f"{way} parrotpark+ -j ACCEPT"
        for chain, ways in wanted.items()
        if f"-P {chain} DROP" in rules
        for way in ways
        if f"-A {way} parrotpark+ -j ACCEPT" not in rules
    ]
    if missing:
        fix = " && ".join(f"iptables -I {rule}" for rule in missing)
        yield Finding("error", "this machine's iptables drops what machines send", fix)
    else:
        yield ok("no other packet filter stops what machines send")


def check_indexes() -> Iterator[Finding]:
    """Packages can be had, asked for as apt and pip ask."""
    asked = {}
    if shutil.which("apt-get") and os.geteuid() == 0:
        asked["apt"] = ["apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update"]
    if importlib.util.find_spec("pip"):
        asked["pip"] = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "index", "versions", "uv"]
    for client, command in asked.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode == 0:
            yield ok(f"{client} reaches its package index")
        else:
            said = (done.stderr.strip() or "no answer").splitlines()[-1]
            fix = f"mend network, proxy or CA settings until this works: {' '.join(command)}"
            yield Finding("error", f"{client} does not reach its package index: {said}", fix)


def check_names() -> Iterator[Finding]:
    """Machines can ask the name servers that this machine asks."""
    behind = Path("/run/systemd/resolve/resolv.conf")  # where /etc/resolv.conf names the host's own resolver
    lines = (behind if behind.exists() else Path("/etc/resolv.conf")).read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    if any(not server.startswith(("127.", "::1")) for server in servers):
        yield ok(f"name servers: {' '.join(servers)}")
    else:
        fix = "name one in /etc/resolv.conf that machines can reach too"
        yield Finding("error", f"no name server but on the loopback: {' '.join(servers) or 'none'}", fix)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_root,
    check_packages,
    check_kernel,
    check_room,
    check_network,
    check_filters,
    check_names,
    check_indexes,
)


def _is_there(what: str) -> bool:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # which many users' PATH lacks
    return Path(what).exists() if what.startswith("/") else shutil.which(what, path=path) is not None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings. Returns 1 if the local cloud cannot work here."""
    parser = argparse.ArgumentParser(prog="doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.add_argument("--packages", action="store_true", help="only name the packages to install")
    options = parser.parse_args(arguments)
    if options.packages:
        print(*missing_packages())
        return 0
    findings = [finding for check in CHECKS for finding in check()]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.level:8} {finding.text}" + (f"\n         -> {finding.fix}" if finding.fix else ""))
        print(f"\n{PLAN.format(packages=' '.join(missing_packages()) or 'none')}")
    return 1 if any(finding.level == "error" for finding in findings) else 0


if __name__ == "__main__":
    raise SystemExit(main())
