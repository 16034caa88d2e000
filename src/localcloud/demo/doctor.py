"""Says whether this machine can run the local cloud, and what `make up` will do to it.

Runs as a plain file with nothing but the system's Python (3.11 or later), before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = Path("/var/lib/parrotpark/localcloud")
API_PORT, CHAT_PORT = 8770, 8443
NETWORK = "10.77.0"  # its first three bytes
MEMORY_GIB, DISK_GIB = 16, 30
APT_SECONDS, APT_PAUSE = 600, 5
APT_LOCKED = re.compile(r"Could not get lock|Unable to lock|Unable to acquire the dpkg frontend lock")

# What is needed, and the package of Debian and Ubuntu that has it.
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
make down removes all of it again except the packages and .venv; make stop keeps the data."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    level: str  # "ok", "warning" or "error"
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """Report a check that passed."""
    return Finding("ok", text)


def missing_packages() -> list[str]:
    """List the packages that have to be installed."""
    needed = dict(NEEDED)
    if not unified_cgroups():
        needed["runc"] = "runc"  # crun refuses cgroup v1
    packages = [package for what, package in needed.items() if not _is_there(what)]
    return packages if importlib.util.find_spec("ensurepip") else [*packages, "python3-venv"]


def install(packages: Sequence[str]) -> int:
    """Install those that dpkg does not have; if nothing is missing, do not use the network."""
    known = _output("dpkg-query", "-Wf", "${db:Status-Abbrev} ${Package}\n").splitlines()
    missing = [package for package in packages if f"ii  {package}" not in known]
    if not missing:
        return 0
    print("Installing", *missing, flush=True)
    for arguments in (["update"], ["install", "--no-install-recommends", *missing]):
        done = apt_get(*arguments)
        if done.returncode != 0:
            print(done.stderr, end="", file=sys.stderr)
            return done.returncode
    return 0


def apt_get(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run apt-get, and wait while another package manager is running: a timer starts one each day.

    apt itself waits only for dpkg's lock, not for that of its lists.
    """
    command = ["apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    deadline = time.monotonic() + APT_SECONDS
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0 or not APT_LOCKED.search(done.stderr) or time.monotonic() > deadline:
            return done
        print("another package manager is running: waiting for it", file=sys.stderr, flush=True)
        time.sleep(APT_PAUSE)


def unified_cgroups() -> bool:
    """Tell whether the host has only cgroup v2."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def running() -> bool:
    """Tell whether a local cloud is running already: then its ports and space are taken by itself."""
    try:
        with (STATE / "daemon.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def check_root() -> Iterator[Finding]:
    """Only root can make machines, networks and devices."""
    if os.geteuid() == 0:
        yield ok("runs as root")
    else:
        yield Finding("error", "not root", "run it with sudo")


def check_packages() -> Iterator[Finding]:
    """All programs are installed or can be."""
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
    """There is enough memory and disk."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    memory = int(lines["MemTotal"].split()[0]) / 2**20
    if memory >= MEMORY_GIB * 0.95:  # the kernel keeps some for itself
        yield ok(f"{memory:.0f} GiB of memory")
    else:
        yield Finding("error", f"only {memory:.0f} GiB of memory", f"use a machine with {MEMORY_GIB} GiB")
    place = next(path for path in (STATE, *STATE.parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free >= DISK_GIB or (STATE / "state.json").exists():
        yield ok(f"{free:.0f} GiB free below {place}")
    else:
        fix = f"{DISK_GIB} GiB are needed: make room, or mount a larger disk at {STATE.parent}"
        yield Finding("error", f"only {free:.0f} GiB free below {place}", fix)


def check_network() -> Iterator[Finding]:
    """Ports and addresses are free."""
    if running():
        yield ok("a local cloud is running already")
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
    """The package indexes of apt and pip can be reached."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield _reached("apt", apt_get("update"))
    if importlib.util.find_spec("pip"):
        ask = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "index", "versions", "uv"]
        yield _reached("pip", subprocess.run(ask, capture_output=True, text=True, check=False, timeout=120))


def _reached(client: str, done: subprocess.CompletedProcess[str]) -> Finding:
    if done.returncode == 0:
        return ok(f"{client} reaches its package index")
    said = (done.stderr.strip() or "no answer").splitlines()[-1]
    if APT_LOCKED.search(done.stderr):
        return Finding("error", f"another package manager keeps running: {said}", "end it, then run this again")
    fix = f"fix network, proxy or CA settings until this works: {' '.join(done.args)}"
    return Finding("error", f"{client} does not reach its package index: {said}", fix)


def check_names() -> Iterator[Finding]:
    """Machines can ask the name servers that this machine asks."""
    upstream = Path("/run/systemd/resolve/resolv.conf")  # where /etc/resolv.conf names the host's own resolver
    lines = (upstream if upstream.exists() else Path("/etc/resolv.conf")).read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    if any(not server.startswith(("127.", "::1")) for server in servers):
        yield ok(f"name servers: {' '.join(servers)}")
    else:
        fix = "add one to /etc/resolv.conf that machines can reach too"
        yield Finding("error", f"no name server except on the loopback: {' '.join(servers) or 'none'}", fix)


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
    parser.add_argument("--install", nargs="*", metavar="PACKAGE", help="only install what is missing, and these")
    options = parser.parse_args(arguments)
    if options.install is not None:
        return install([*missing_packages(), *options.install])
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
