"""The machines: Podman containers that boot systemd. This is the `Backend` that the API drives."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcloud.core.backend import BackendError, Machine, Rule
from localcloud.machine import firewall, images, network, podman, roots, seed, volumes
from localcloud.paths import MACHINES

GUEST = Path(__file__).parent / "guest"
BOOT_SECONDS = 30.0
SHUTDOWN_SECONDS = 30
PAUSE_SECONDS = 20.0
POWER_BUTTON = "SIGRTMIN+4"  # systemd takes it for a press of a real machine's power button
POWERED_OFF = 130  # exit code of a container whose init asked for power-off; of a reboot it is 129

# Capabilities over what all machines share with the host: clock, modules, hardware, kernel log, suspend,
# accounting, security policies.
HOST_CAPABILITIES = (
    *("SYS_TIME", "SYS_MODULE", "SYS_RAWIO", "SYSLOG", "BLOCK_SUSPEND", "WAKE_ALARM"),
    *("SYS_PACCT", "MAC_ADMIN", "MAC_OVERRIDE"),
)


def container_name(machine_id: int) -> str:
    """Name the container that carries a machine."""
    return f"server-{machine_id}"


def container_arguments(machine: Machine, directory: Path, netns: Path, host_cores: int) -> list[str]:
    """Tell Podman what a machine is: all that systemd needs, but nothing that affects the whole host."""
    # More cores than the host has are no limit at all.
    cores = [f"--cpus={machine.cores}"] if machine.cores < host_cores else []
    return [
        f"--hostname={machine.name}",
        f"--network=ns:{netns}",
        "--no-hosts",
        "--dns=none",
        "--systemd=always",
        "--cgroupns=private",
        "--stop-signal=SIGRTMIN+3",
        "--cap-add=all",
        *(f"--cap-drop={capability}" for capability in HOST_CAPABILITIES),
        f"--security-opt=seccomp={podman.SECCOMP}",
        "--security-opt=apparmor=unconfined",
        "--security-opt=label=disable",
        "--device=/dev/net/tun",
        "--device=/dev/fuse",
        "--shm-size=1g",
        f"--memory={int(machine.memory_gb * 1024)}m",
        *cores,
        f"--volume={directory}/containers:/var/lib/containers",
        f"--volume={directory}/guest:/run/localcloud:ro",
        "--rootfs",
        f"{directory}/root",
        "/bin/sh",
        "/run/localcloud/first-process",
    ]


def devices(machine: Machine) -> list[str]:
    """List the devices that a machine may use besides those of every container, as rules of device cgroups."""
    return [
        "c 5:* rwm",  # terminals: containers inside are given all of them, and may not get more than the machine has
        "c 10:229 rwm",  # fuse
        *(f"b {major}:{minor} rwm" for major, minor in volumes.device_numbers(machine.ipv4)),
    ]


class PodmanBackend:
    """Runs the API's servers as containers on this host."""

    def __init__(self) -> None:
        """Configure Podman for this host."""
        podman.configure()
        self._lock = threading.Lock()  # loop devices and the packet filter are the whole host's

    def images(self) -> Sequence[str]:
        """Name the images that machines can be made from."""
        return roots.images()

    def create(self, machine: Machine) -> None:
        """Make the machine's root, network and seed; it stays off."""
        name = container_name(machine.id)
        root = roots.create(name, machine.image)
        replace_file(root / "etc/resolv.conf", network.resolvers())
        replace_file(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n::1 localhost\n")
        replace_file(root / "etc/hostname", f"{machine.name}\n")
        guest = roots.directory(name) / "guest"
        guest.mkdir(mode=0o700, exist_ok=True)
        seed.write(machine, guest / "seed")
        (guest / "volumes").touch()
        if machine.ipv4:
            network.ensure_machine(machine.id, machine.ipv4)

    def start(self, machine: Machine) -> None:
        """Boot a machine that is off; return once its init runs."""
        if machine.id not in self.running():
            name = container_name(machine.id)
            directory = roots.directory(name)
            roots.mount(name)
            for script in GUEST.iterdir():
                shutil.copy(script, directory / "guest")
            netns = network.ensure_machine(machine.id, machine.ipv4)
            arguments = container_arguments(machine, directory, netns, os.cpu_count() or 1)
            podman.run_detached(name, *arguments, devices=devices(machine))
        self._await_init(machine)

    def stop(self, machine: Machine, *, force: bool) -> None:
        """Shut the machine down cleanly, or with `force` pull its plug."""
        seconds = 0 if force else SHUTDOWN_SECONDS
        podman.podman("stop", "--ignore", f"--time={seconds}", container_name(machine.id))

    def shutdown(self, machine: Machine) -> None:
        """Press the machine's power button; the machine decides what it does then."""
        try:
            if machine.id in self.running():
                podman.podman("kill", f"--signal={POWER_BUTTON}", container_name(machine.id))
        except BackendError:
            if machine.id in self.running():  # else it went off by itself meanwhile
                raise

    def delete(self, machine: Machine) -> None:
        """Remove the machine, its root, network and seed."""
        podman.remove(container_name(machine.id))
        with self._lock:
            volumes.show([], machine.ipv4)
        network.remove_machine(machine.id)
        roots.delete(container_name(machine.id))

    def running(self) -> frozenset[int]:
        """Return the ids of the machines that are running."""
        return frozenset(machine_id for machine_id in _known() if first_process(machine_id) is not None)

    def powered_off(self, machine_id: int) -> bool:
        """Tell whether the machine switched itself off, rather than rebooting or being killed."""
        return podman.exit_code(container_name(machine_id)) == POWERED_OFF

    def snapshot(self, machine: Machine, image: str) -> int:
        """Save the machine's root as `image`; return its size in bytes."""
        name = container_name(machine.id)
        if not self._pause(machine):  # a copy of files that change meanwhile would be useless
            return roots.snapshot(name, image)
        try:
            return roots.snapshot_in_use(name, image)
        finally:
            podman.podman("unpause", name)

    def _pause(self, machine: Machine) -> bool:
        """Freeze a machine; tell whether it is running at all.

        On cgroup v1 the runtime gives up ("unable to freeze") after a third of a second in which new processes appear,
        as they do while a machine boots.

        Raises:
            BackendError: it cannot be frozen.
        """
        deadline = time.monotonic() + PAUSE_SECONDS
        while machine.id in self.running():
            try:
                podman.podman("pause", container_name(machine.id))
            except BackendError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return True
        return False

    def delete_image(self, image: str) -> None:
        """Remove a snapshot."""
        if image in images.SUITES:
            raise BackendError(f"{image} is a system image: only snapshots can be deleted")
        roots.delete_image(image)

    def create_volume(self, volume_id: int, size_gb: int, filesystem: str | None) -> None:
        """Make a block device of `size_gb`, formatted (ext4 or xfs) if a filesystem is named."""
        volumes.create(volume_id, size_gb, filesystem)

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        """Grow the block device; its owner grows the filesystem."""
        with self._lock:
            volumes.resize(volume_id, size_gb)

    def delete_volume(self, volume_id: int) -> None:
        """Remove the block device and its data."""
        with self._lock:
            volumes.delete(volume_id)

    def attach_volumes(self, machine: Machine, volume_ids: Sequence[int]) -> None:
        """Show just these volumes as `/dev/disk/by-id/scsi-0HC_Volume_<id>` inside the machine, or once it boots."""
        name = container_name(machine.id)
        with self._lock:
            # Without an address it cannot start, and has no devices.
            shown = volumes.show(volume_ids, machine.ipv4) if machine.ipv4 else {}
        lines = []
        for volume_id, device in shown.items():
            number = device.stat().st_rdev
            lines.append(f"{device.name} {os.major(number)} {os.minor(number)} {volume_id}\n")
        (roots.directory(name) / "guest/volumes").write_text("".join(lines))
        if first_process(machine.id) is not None:
            # Not by nsenter: what the machine's root made of its `sh` would run with the host's rights.
            podman.podman("exec", name, "sh", "/run/localcloud/show-volumes")

    def filter(self, rules: Mapping[str, Sequence[Rule] | None]) -> None:
        """Replace the packet filter of all machines at once, by IPv4 address; None means no firewall applies."""
        with self._lock:
            firewall.apply(rules, network.name_servers())

    def _await_init(self, machine: Machine) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            pid = first_process(machine.id)
            if pid is None:
                said = podman.podman("logs", "--tail=1", container_name(machine.id)).strip()
                raise BackendError(f"{machine.name} stopped while booting: {said}")
            if Path(f"/proc/{pid}/root/run/systemd/private").exists():
                return
            time.sleep(0.05)
        raise BackendError(f"{machine.name} did not boot within {BOOT_SECONDS:.0f} s")


def first_process(machine_id: int) -> int | None:
    """Return the process id of a machine's init as the host sees it, or None if the machine is off.

    A process belongs to the machine if it is in the machine's network: the id alone may have been reused.
    """
    try:
        pid = int(podman.pid_file(container_name(machine_id)).read_text())
        there = Path(f"/proc/{pid}/ns/net").stat().st_ino
        own = Path("/run/netns", network.namespace(machine_id)).stat().st_ino
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if there == own else None


def _known() -> list[int]:
    return [int(path.name.removeprefix("server-")) for path in MACHINES.glob("server-*")]


def replace_file(path: Path, content: str) -> None:
    """Write a file of a machine that is off.

    Raises:
        BackendError: its folder is a link, which may lead out of the machine.
    """
    if path.parent.is_symlink():  # as the root of a machine, and of its snapshots, can make it
        raise BackendError(f"{path.parent} is a symbolic link")
    path.unlink(missing_ok=True)  # it may be a link to where the machine's own resolver will write
    path.write_text(content)
