"""Podman with a storage of its own, so that neither we nor the user's Podman see the other's containers."""

from __future__ import annotations

import errno
import json
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.machine.process import run
from localcloud.paths import PODMAN, RUNTIME, STATE

LABEL = "parrotpark=localcloud"
CONFIG = STATE / "containers.conf"
SECCOMP = STATE / "seccomp.json"
END_SECONDS = 10.0
CGROUPS = ("parrotpark", "parrotpark.slice")
# What runc and crun let every container use: harmless kernel devices, its own terminals, and mknod of any device.
COMMON_DEVICES = (
    *("b *:* m", "c *:* m"),
    *(f"c {number} rwm" for number in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "10:200", "136:*")),
)


@dataclass(frozen=True, slots=True)
class Host:
    """What differs between hosts and decides how Podman must be configured."""

    unified_cgroups: bool
    systemd: bool
    open_files: int
    processes: int
    process_ids: int

    @classmethod
    def detect(cls) -> Host:
        """Look at the host this process runs on."""
        return cls(
            unified_cgroups=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
            systemd=Path("/run/systemd/system").exists(),
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            processes=resource.getrlimit(resource.RLIMIT_NPROC)[1],
            process_ids=int(Path("/proc/sys/kernel/pid_max").read_text()),
        )


def render_config(host: Host) -> str:
    """Render containers.conf."""
    # Podman lowers its own limit on processes to the number of process ids.
    files, processes = _at_most(host.open_files, 1_048_576), _at_most(host.processes, host.process_ids)
    return "\n".join(
        [
            "[containers]",
            # Podman's own defaults exceed what a process without CAP_SYS_RESOURCE may ask for.
            f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]',
            "pids_limit = 0",
            'log_driver = "k8s-file"',
            "log_size_max = 10485760",
            "[engine]",
            # crun refuses the hybrid tree of cgroup v1 and v2.
            *([] if host.unified_cgroups else ['runtime = "runc"']),
            f'cgroup_manager = "{"systemd" if host.systemd else "cgroupfs"}"',
            'events_logger = "file"',
            # The default lock table and tmp_dir are shared with the user's Podman.
            'lock_type = "file"',
            f'tmp_dir = "{RUNTIME}/libpod"',
            "",
        ]
    )


def _at_most(limit: int, most: int) -> int:
    return most if limit == resource.RLIM_INFINITY else min(limit, most)


def render_seccomp() -> str:
    """Render the filter of system calls: these would get around a machine's isolation, unlike a reboot."""
    whole_host = ["kexec_load", "kexec_file_load", "perf_event_open", "swapoff", "swapon"]
    around_paths = ["open_by_handle_at"]  # opens any file of the file system that a mount comes from
    keyrings = ["add_key", "keyctl", "request_key"]  # root's are the same in all machines
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [
                {"names": [*whole_host, *around_paths], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
                # Programs do without a keyring where the kernel has none.
                {"names": keyrings, "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            ],
        },
        indent=2,
    )


def configure() -> None:
    """Write Podman's configuration for this host."""
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)  # the roots hold secrets, and programs that run as root
    CONFIG.write_text(render_config(Host.detect()))
    SECCOMP.write_text(render_seccomp())


def podman(*arguments: str | Path) -> str:
    """Run Podman on our storage.

    Raises:
        BackendError: Podman failed.
    """
    own = ["podman", "--root", str(PODMAN), "--runroot", str(RUNTIME / "containers")]
    return run(*own, *arguments, env={**os.environ, "CONTAINERS_CONF": str(CONFIG)})


def run_attached(name: str, *arguments: str) -> None:
    """Run a container to its end and remove it.

    Raises:
        BackendError: Podman or the container failed.
    """
    try:
        podman("run", "--replace", f"--name={name}", f"--label={LABEL}", *_own_cgroup(name), *arguments)
    finally:
        remove(name)


def run_detached(name: str, *arguments: str, devices: Sequence[str] = ()) -> None:
    """Start a container under its name, in place of one that ended; `devices` are rules of device cgroups.

    Raises:
        BackendError: Podman failed.
    """
    remove(name)
    _limit_devices(name, devices)
    pid_file(name).parent.mkdir(parents=True, exist_ok=True)
    podman("run", "--detach", f"--name={name}", f"--label={LABEL}", f"--pidfile={pid_file(name)}", *_own_cgroup(name),
           *(f"--device-cgroup-rule={rule}" for rule in devices), *arguments)  # fmt: skip


def remove(name: str) -> None:
    """Remove a container, running or not, and its control groups.

    Raises:
        BackendError: Podman failed.
    """
    podman("rm", "--force", "--ignore", "--time=0", name)
    remove_cgroups(f"parrotpark/{name}")


def _own_cgroup(name: str) -> list[str]:
    return [f"--cgroup-parent={'parrotpark.slice' if Host.detect().systemd else f'/parrotpark/{name}'}"]


def _limit_devices(name: str, devices: Sequence[str]) -> None:
    """Limit a container's control group, and all below it, to these devices.

    On cgroup v1 the container's root may write its own group's rules, but cannot see the group above it.
    """
    hierarchy = Path("/sys/fs/cgroup/devices")
    if Host.detect().systemd or not hierarchy.is_dir():
        return
    group = hierarchy / "parrotpark" / name
    group.mkdir(parents=True)
    (group / "devices.deny").write_text("a")
    for rule in (*COMMON_DEVICES, *devices):
        (group / "devices.allow").write_text(rule)


def remove_cgroups(pattern: str) -> None:
    """Remove the control groups of what has ended, by their name below the root of a hierarchy.

    Raises:
        BackendError: a process in them does not end.
    """
    for tree in [*Path("/sys/fs/cgroup").glob(pattern), *Path("/sys/fs/cgroup").glob(f"*/{pattern}")]:
        for directory, _, _ in os.walk(tree, topdown=False):
            _remove_cgroup(Path(directory))


def _remove_cgroup(group: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while group.exists():
        try:
            group.rmdir()
        except OSError as error:  # the container's monitor outlives it for a moment
            if time.monotonic() > deadline:
                raise BackendError(f"the processes in {group} do not end: kill them") from error
            time.sleep(0.05)


def pid_file(name: str) -> Path:
    """Return the file that holds the process id of a container's first process."""
    return RUNTIME / "pids" / name


def alive(name: str) -> bool:
    """Tell whether a container's first process lives, by its cgroup: its id may have been reused."""
    try:
        pid = int(pid_file(name).read_text())
        return "parrotpark" in Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False


def exit_code(name: str) -> int | None:
    """Return the exit code of a container, or None if it has not ended or never existed."""
    said = podman("ps", "--all", "--filter", f"name=^{name}$", "--format", "{{.Exited}} {{.ExitCode}}").split()
    return int(said[1]) if said and said[0] == "true" else None


def names() -> list[str]:
    """Name our containers."""
    return podman("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split()
