"""Killed at any moment and started again, the local cloud has everything as it was.

This cuts the power of every server of this host's local cloud.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hcloud import Client
from hcloud.firewalls.domain import FirewallResource, FirewallRule
from hcloud.volumes.client import BoundVolume

from localcloud import daemon, paths, teardown
from localcloud.machine import firewall, network, podman, volumes
from tests.machines import ANYWHERE, PREFIX, Machine, host_reaches, settle, start_local_cloud


def kill_all() -> None:
    """End every process of the local cloud, machines included, as a power cut does; nobody gets to say goodbye."""
    monitors = [path for path in Path("/proc").glob("[0-9]*") if is_our_monitor(path)]
    trees = [tree for name in podman.CGROUPS for tree in Path("/sys/fs/cgroup").glob(f"**/{name}")]
    pids = {int(path.name) for path in monitors}
    pids |= {int(pid) for tree in trees for file in tree.rglob("cgroup.procs") for pid in file.read_text().split()}
    owner = daemon.owner()
    assert owner
    for pid in pids | {owner.pid}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_our_monitor(process: Path) -> bool:
    """Tell whether a process is the conmon of one of our containers."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"conmon") and any(str(paths.PODMAN).encode() in word for word in words)


def forget_all() -> None:
    """Take away what does not outlive a host's reboot: mounts, network, packet filter, loop devices, /run."""
    for mount in teardown.mounts():
        subprocess.run(["umount", "--lazy", mount], check=True)
    network.remove_machines()
    subprocess.run(["ip", "link", "delete", paths.BRIDGE], check=True)
    firewall.remove()
    volumes.detach_all()
    shutil.rmtree(paths.RUNTIME)


def test_a_killed_daemon_leaves_the_machines_alone(one: Machine) -> None:
    before, owner = one.await_boot(), daemon.owner()
    assert owner
    os.kill(owner.pid, signal.SIGKILL)
    while daemon.owner():
        time.sleep(0.1)
    assert one.await_boot() == before
    start_local_cloud()
    # The new daemon first makes sure of every machine that should run, and says "starting" meanwhile.
    one.await_status("running")
    assert one.await_boot() == before


@pytest.mark.parametrize("rebooted", [False, True], ids=["all processes killed", "host rebooted"])
def test_after_a_power_cut_all_is_there_again(
    local_cloud: Client, one: Machine, two: Machine, volume: BoundVolume, rebooted: bool
) -> None:
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=ANYWHERE)
    target = FirewallResource(type="server", server=one.server)
    guard = local_cloud.firewalls.create(f"{PREFIX}guard", rules=[rule], resources=[target]).firewall
    device = f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    one.run(
        f"mount {device} /mnt && echo {rebooted} > /mnt/last && umount /mnt && echo {rebooted} > /root/last && sync"
    )
    settle(two.server.power_off())
    before = one.await_boot()

    kill_all()
    while daemon.owner():
        time.sleep(0.1)
    if rebooted:
        forget_all()
    start_local_cloud()

    one.await_boot(other_than=before)
    assert one.run(f"mount {device} /mnt && cat /mnt/last /root/last && umount /mnt") == f"{rebooted}\n{rebooted}"
    two.server.reload()
    assert two.server.status == "off"
    settle(two.server.power_on())
    two.await_boot()
    assert two.try_run(f"ping -c 1 -W 1 {one.ip}").returncode != 0
    settle(*guard.remove_from_resources([target]))
    assert two.run(f"ping -c 1 -W 1 {one.ip}")
    guard.delete()
    deadline = time.monotonic() + 10
    while not host_reaches(str(paths.GATEWAY), paths.REGISTRY_PORT):
        assert time.monotonic() < deadline
