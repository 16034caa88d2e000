"""Real machines of the local cloud that runs: a way into them, and the cloud as a client sees it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hcloud import Client
from hcloud.actions.client import BoundAction
from hcloud.images import Image
from hcloud.server_types import ServerType
from hcloud.servers.client import BoundServer
from testinfra.host import Host

from localcloud import paths
from localcloud.machine.network import namespace

PREFIX = "conformance-"  # of the names of all that tests make
ANYWHERE = ["0.0.0.0/0", "::/0"]
BOOT_SECONDS = 60.0
NOT_REACHED = 255  # what ssh returns then


@dataclass(frozen=True, slots=True)
class Machine:
    """A server, and a way into it that trusts only the host key it was given."""

    server: BoundServer
    keys: Path

    @property
    def ip(self) -> str:
        """Its public address."""
        assert self.server.public_net
        assert self.server.public_net.ipv4
        return str(self.server.public_net.ipv4.ip)

    @property
    def id(self) -> int:
        """Its number, which names all that carries it."""
        assert self.server.id
        return self.server.id

    def try_run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root, which may fail there: in a machine that is not reached nothing was refused."""
        done = self._ssh(command)
        assert done.returncode != NOT_REACHED, f"{self.server.name} is not reached: {done.stderr}"
        return done

    def _ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = [
            f"UserKnownHostsFile={self.keys}/known_hosts",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=2",
            "LogLevel=ERROR",
        ]
        flags = [flag for option in options for flag in ("-o", option)]
        ssh = ["ssh", "-i", str(self.keys / "client"), *flags, f"root@{self.ip}", command]
        return subprocess.run(ssh, capture_output=True, text=True, check=False)

    def run(self, command: str) -> str:
        """Run a command that must succeed; returns what it printed."""
        done = self.try_run(command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def await_boot(self, other_than: str = "") -> str:
        """Wait until it has booted and cloud-init is done; returns its boot id."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            boot = self._ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()
            if boot not in ("", other_than):
                self._ssh("cloud-init status --wait")
                return boot
            time.sleep(0.2)
        raise AssertionError(f"{self.server.name} does not answer")

    def await_status(self, status: str) -> None:
        """Wait until the API reports it so."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.server.status != status:
            assert time.monotonic() < deadline, f"{self.server.name} is {self.server.status}, not {status}"
            time.sleep(0.2)
            self.server.reload()

    def reaches(self, ip: str, port: int) -> bool:
        """Tell whether something answers there, seen from this machine."""
        return self.try_run(f"timeout 1 bash -c '</dev/tcp/{ip}/{port}'").returncode == 0


type Boot = Callable[..., Machine]  # by name, with user_data, image, volume and server type


def start_local_cloud() -> None:
    """Start it as users do."""
    subprocess.run([sys.executable, "-m", "localcloud", "start"], check=True)


def host_reaches(ip: str, port: int) -> bool:
    """Tell whether something answers there, seen from the host."""
    probe = ["timeout", "1", "bash", "-c", f"</dev/tcp/{ip}/{port}"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def settle(first: BoundAction | None, *others: BoundAction) -> None:
    """Wait for actions."""
    for action in filter(None, (first, *others)):
        action.wait_until_finished()


@contextmanager
def among_machines(name: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Give an address that machines reach, and what to put before a command that shall have it.

    It is that of a machine, whose network the command shares: on the host, machines reach only the local cloud. In the
    end it is deleted, and so is all else that is named like it.
    """
    _delete_all(f"{name}-")
    answer = client("test").servers.create(f"{name}-itself", ServerType(name="cx23"), Image(name="debian-13"))
    settle(answer.action, *answer.next_actions)
    machine = Machine(answer.server, Path())
    try:
        yield machine.ip, ["ip", "netns", "exec", namespace(machine.id)]
    finally:
        _delete_all(f"{name}-")


def _delete_all(prefix: str) -> None:
    cloud = client("test")
    for server in cloud.servers.get_all():
        if str(server.name).startswith(prefix):
            settle(server.delete())
    for image in cloud.images.get_all(type=["snapshot"]):
        if str(image.description).startswith(prefix):
            image.delete()
    for key in cloud.ssh_keys.get_all():
        if str(key.name).startswith(prefix):
            key.delete()


@contextmanager
def ended_politely(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program while the block lasts, whose output is ours to read; at the end it has time to clean up."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def client(project: str) -> Client:
    """A client of one of the projects.

    Tests make what is theirs in the project `test`: one that runs wild touches nobody's servers there, and no sweep
    touches its own.
    """
    token = (paths.TOKENS / project).read_text()
    return Client(token, api_endpoint=f"http://{paths.GATEWAY}:{paths.API_PORT}/v1", poll_interval=0.2)


def unread(host: Host, unit: str) -> str:
    """Return what a unit has said since this was last asked.

    Not by `--invocation`: of a service that ended before the journal took what it had said, the journal no longer knows
    in which run that was.
    """
    host.check_output("journalctl --sync")
    journal = "journalctl --cursor-file=/run/%s.read --unit=%s --no-pager --output=cat"
    return str(host.check_output(journal, unit, unit))
