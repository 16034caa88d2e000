"""What another user of this host, and root in a machine, get at: what is theirs, and nothing of the others'."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hcloud.actions.domain import ActionFailedException
from hcloud.volumes.client import BoundVolume

from localcloud import paths
from localcloud.demo.stand_ins import oci
from localcloud.machine import registry
from tests.machines import PREFIX, Machine, host_reaches, settle

METADATA = f"http://{paths.METADATA}/hetzner/v1"
REGISTRY = str(paths.GATEWAY), paths.REGISTRY_PORT
NOBODY = 65534
REFUSED = "Operation not permitted"


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user of this host without any rights."""
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                          capture_output=True, text=True, check=False)  # fmt: skip


def status(method: str, url: str) -> list[str]:
    """A command that makes a call and prints its status."""
    accepted = f"Accept:{oci.MANIFEST}"
    return ["curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "-H", accepted, "-X", method, url]


@pytest.mark.parametrize("header", ["X-Forwarded-For: {}", "X-Real-IP: {}", "Forwarded: for={}"])
@pytest.mark.parametrize("route", [[], ["--interface", "127.0.0.1"]], ids=["directly", "from the loopback"])
def test_a_local_user_reads_no_machine_s_user_data(one: Machine, header: str, route: list[str]) -> None:
    assert "told" in one.run(f"curl -sf {METADATA}/userdata")
    forged = as_nobody("curl", "-s", "-m", "5", *route, "-H", header.format(one.ip), f"{METADATA}/userdata")
    assert "told" not in forged.stdout


def test_a_machine_reads_no_other_machine_s_user_data(one: Machine, two: Machine) -> None:
    said = two.run(f"curl -s -H 'X-Forwarded-For: {one.ip}' {METADATA}/metadata/instance-id")
    assert said == str(two.id)


@pytest.mark.usefixtures("local_cloud")
@pytest.mark.parametrize("folder", [paths.STATE, paths.INVENTORY_STATE, paths.RUNTIME])
def test_a_local_user_reads_nothing_that_the_local_cloud_keeps(folder: Path) -> None:
    assert as_nobody("ls", str(folder)).returncode != 0


@pytest.fixture(scope="module")
def pushed(two: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The digest of an image that root of this host pushed, in a repository of the tests' own."""
    assert two.reaches(*REGISTRY)
    folder = tmp_path_factory.mktemp("image")
    (folder / "root").mkdir()
    layer = oci.pack(folder / "root", folder / "layer")
    with registry.open_door() as door:
        digest = oci.Repository(door, f"{PREFIX}image").push("1", layer, {})
        assert as_nobody("curl", "-s", "--unix-socket", str(door), "http://localhost/v2/").returncode != 0
    yield digest
    shutil.rmtree(paths.REGISTRY / f"docker/registry/v2/repositories/{PREFIX}image")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "blobs/uploads/"), ("PUT", "manifests/2"), ("DELETE", "manifests/{}")],
)
def test_the_registry_takes_nothing_from_machines_and_users(two: Machine, pushed: str, method: str, path: str) -> None:
    repository = f"http://{paths.GATEWAY}:{paths.REGISTRY_PORT}/v2/{PREFIX}image"
    ask = status(method, f"{repository}/{path.format(pushed)}")
    assert as_nobody(*ask).stdout == "405"
    assert two.run(" ".join(ask)) == "405"
    assert two.run(" ".join(status("GET", f"{repository}/manifests/{pushed}"))) == "200"


def test_machines_reach_of_the_host_what_is_declared_and_nothing_else(two: Machine) -> None:
    for service, port in paths.SERVICES:
        assert two.reaches(str(service), port)
    route = subprocess.run(["ip", "-4", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=True)
    own = route.stdout.split(" src ")[1].split()[0]
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        port = everywhere.getsockname()[1]
        for address in (str(paths.GATEWAY), str(paths.METADATA), own):
            assert host_reaches(address, port)
            assert not two.reaches(address, port)


@pytest.fixture
def published() -> Iterator[tuple[str, int]]:
    """Where a container that is no machine answers; the host publishes it at 5999 of all its addresses."""
    name, inside = f"{PREFIX}container", "198.51.100.6"
    table = f"inet {PREFIX.rstrip('-')}"
    for command in (
        f"ip netns add {name}",
        f"ip link add container0 type veth peer name eth0 netns {name}",
        "ip address add 198.51.100.5/30 dev container0",
        "ip link set container0 up",
        f"ip -n {name} address add {inside}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} route add default via 198.51.100.5",
        f"nft add table {table}",
        f"nft add chain {table} publish {{ type nat hook prerouting priority dstnat; }}",
        f"nft add rule {table} publish fib daddr type local tcp dport 5999 dnat ip to {inside}:80",
    ):
        subprocess.run(command.split(), check=True)
    serve = ["ip", "netns", "exec", name, "python3", "-m", "http.server", "80"]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 10
        while not host_reaches(inside, 80):
            assert time.monotonic() < deadline
        yield inside, 80
        server.terminate()
    subprocess.run(["nft", "delete", "table", *table.split()], check=True)
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_machines_do_not_reach_what_the_host_publishes_for_its_containers(
    two: Machine, published: tuple[str, int]
) -> None:
    assert two.reaches(*published)  # as they reach every address beyond the host
    assert not two.reaches(str(paths.GATEWAY), 5999)


def read_device(machine: Machine, major: int, minor: int) -> str:
    """Try to read a sector of a block device as root of a machine may try; returns how many bytes came, or why not."""
    node = f"/root/device-{major}-{minor}"
    done = machine.try_run(f"mknod {node} b {major} {minor}; head -c 512 {node} | wc -c; rm {node}")
    return REFUSED if REFUSED in done.stderr else done.stdout.strip()


def number(machine: Machine, volume: BoundVolume) -> tuple[int, int]:
    """The device number of a volume in the machine that has it."""
    major, minor = machine.run(f"stat -Lc '%Hr %Lr' /dev/disk/by-id/scsi-0HC_Volume_{volume.id}").split()
    return int(major), int(minor)


def test_a_machine_reads_its_own_volume_and_no_other_s(one: Machine, two: Machine, volume: BoundVolume) -> None:
    device = number(one, volume)
    assert read_device(one, *device) == "512"
    assert read_device(two, *device) == REFUSED
    settle(volume.detach())
    settle(volume.attach(two.server))
    assert read_device(two, *number(two, volume)) == "512"
    assert read_device(one, *number(two, volume)) == REFUSED
    assert read_device(one, *device) == "0"  # its own, and empty now
    settle(volume.detach())
    settle(volume.attach(one.server))


def test_a_machine_cannot_allow_itself_a_device(one: Machine, two: Machine, volume: BoundVolume) -> None:
    major, minor = number(one, volume)
    two.try_run(f"""
        mkdir -p /root/groups && mount -t cgroup -o devices none /root/groups
        for group in /sys/fs/cgroup/devices /root/groups; do
          echo 'a *:* rwm' > $group/devices.allow
          echo 'b {major}:{minor} rwm' > $group/devices.allow
          mkdir $group/more && echo 'b {major}:{minor} rwm' > $group/more/devices.allow
        done""")
    assert read_device(two, major, minor) == REFUSED
    two.try_run("umount /root/groups")


def test_the_disk_of_the_host_is_out_of_reach(two: Machine) -> None:
    disk = next(line.split() for line in Path("/proc/partitions").read_text().splitlines()[2:] if "loop" not in line)
    assert read_device(two, int(disk[0]), int(disk[1])) == REFUSED


def test_a_volume_that_is_mounted_is_not_given_away(one: Machine, volume: BoundVolume) -> None:
    one.run(f"mount /dev/disk/by-id/scsi-0HC_Volume_{volume.id} /mnt")
    with pytest.raises(ActionFailedException, match="in use"):
        settle(volume.detach())
    one.run("umount /mnt")
    volume.reload()
    assert volume.server
    assert volume.server.id == one.id


def test_what_a_machine_made_of_its_shell_runs_in_the_machine(two: Machine, volume: BoundVolume) -> None:
    spy = '#!/usr/bin/dash.real\nreadlink /proc/self/ns/pid > /root/ran-in\nexec /usr/bin/dash.real "$@"\n'
    two.run(f"mv /usr/bin/dash /usr/bin/dash.real && printf '%s' '{spy}' > /usr/bin/dash && chmod +x /usr/bin/dash")
    settle(volume.detach())
    two.run("rm -f /root/ran-in")
    settle(volume.attach(two.server))
    seen = two.run("cat /root/ran-in")
    two.run("mv /usr/bin/dash.real /usr/bin/dash")
    assert seen == two.run("readlink /proc/1/ns/pid")


def test_no_control_group_of_a_machine_runs_programs_of_the_host(two: Machine) -> None:
    found = two.run("""
        for tree in $(awk '$3 == "cgroup" { print $4 }' /proc/mounts | tr , '\\n' | sort -u); do
          mkdir -p /root/groups && mount -t cgroup -o "$tree" none /root/groups 2>/dev/null || continue
          find /root/groups -name release_agent
          mount -o remount,release_agent=/bin/true /root/groups 2>/dev/null && echo remounted
          umount /root/groups
        done
        find /sys/fs/cgroup -name release_agent
        mount -t cgroup -o none,name=evil none /root/groups 2>/dev/null && echo mounted
        true""")
    assert found == ""


CALLS = {  # by their numbers on x86-64
    "swapon": 167,
    "init_module": 175,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
    "kexec_load": 246,
    "keyctl": 250,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_machine_cannot_call_for_what_is_the_host_s(two: Machine, name: str) -> None:
    call = f"l = ctypes.CDLL(None, use_errno=True); l.syscall({CALLS[name]}, 0, 0, 0, 0); print(ctypes.get_errno())"
    assert two.run(f"python3 -c 'import ctypes; {call}'") in {"1", "38"}


def test_the_kernel_s_log_is_out_of_reach(two: Machine) -> None:
    assert REFUSED in two.try_run("dmesg").stderr


def test_containers_of_a_machine_s_own_run_all_the_same(two: Machine) -> None:
    packages = "podman crun netavark aardvark-dns nftables busybox-static"
    two.run(f"apt-get -qq update && apt-get -qq install --no-install-recommends {packages} >/dev/null 2>&1")
    two.run("mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin")
    two.run("tar -C /root/image -c . | podman import - own")
    limits = "--read-only --memory=64m --pids-limit=20 --cap-drop=all"
    assert two.run(f"podman run --rm {limits} own /bin/busybox echo works") == "works"
