"""A sealed host is nobody: what it was is gone, what it can do is kept, and what is left is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.programs import load

MACHINE_ID = "0123456789abcdef0123456789abcdef"
CANARY = "correct-horse-battery-staple"
CREDENTIALS = ("/etc/parrotpark/credentials/*",)


@pytest.fixture(scope="session")
def program() -> ModuleType:
    """The role's program runs on the host, not in our environment: it is loaded from its file."""
    return load("roles/seal/files/seal.py")


class Host:
    """A used host in a folder; remembers which programs were run."""

    def __init__(self, root: Path, program: ModuleType) -> None:
        self.root = root
        self.ran: list[str] = []
        self._program = program

    def write(self, path: str, content: str = CANARY) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def seal(self, *, check: bool = False) -> list[str]:
        gone: list[str] = self._program.seal(CREDENTIALS, self._run, root=self.root, check=check)
        return gone

    def _run(self, command: Sequence[str]) -> None:
        self.ran.append(command[0])

    def files(self) -> dict[str, str]:
        return {f"/{p.relative_to(self.root)}": p.read_text() for p in self.root.rglob("*") if p.is_file()}


WHAT_GOES = [
    "/etc/hostname",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/parrotpark/credentials/vllm_api_key",
    "/root/.ssh/authorized_keys",
    "/root/.bash_history",
    "/root/.lesshst",
    "/root/.viminfo",
    "/root/.wget-hsts",
    "/root/.ansible/tmp/x/y",
    "/home/debian/.ssh/authorized_keys",
    "/home/debian/.python_history",
    "/home/debian/.lesshst",
    "/home/debian/.viminfo",
    "/home/debian/.wget-hsts",
    "/var/cache/apt/archives/nano.deb",
    "/var/lib/apt/lists/an_index",
    "/var/lib/cloud/instances/i-1/user-data.txt",
    "/var/lib/dhcp/dhclient.leases",
    "/var/lib/systemd/random-seed",
    "/var/log/apt/history.log",
    f"/var/log/journal/{MACHINE_ID}/system.journal",
    "/var/log/syslog",
    "/tmp/.hidden",
    "/tmp/something/else",
    "/var/tmp/download",
]
WHAT_STAYS = {
    "/etc/ssh/sshd_config": "PasswordAuthentication no\n",
    "/etc/shadow": "root:*:20000::::::\nsshd:!*:20000::::::\n",
    "/opt/vllm/bin/vllm": "a program",
    "/var/cache/vllm/.cache/compiled": "a kernel",
    "/var/lib/dpkg/status": "Package: nano",
    # What services and this very task hold in their hands.
    "/tmp/ansible_ansible.legacy.command_payload_1/module.zip": "in use",
    "/tmp/systemd-private-1-timesyncd/tmp": "in use",
}


@pytest.fixture
def host(tmp_path: Path, program: ModuleType) -> Host:
    host = Host(tmp_path, program)
    for path in WHAT_GOES:
        host.write(path)
    for path, content in WHAT_STAYS.items():
        host.write(path, content)
    host.write("/etc/machine-id", f"{MACHINE_ID}\n")
    host.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gpu-bake\n")
    return host


def test_what_it_was_is_gone_and_what_it_can_do_is_kept(host: Host) -> None:
    host.seal()
    assert host.files() == {**WHAT_STAYS, "/etc/machine-id": "", "/etc/hosts": "127.0.0.1 localhost\n"}


def test_folders_that_services_want_are_kept(host: Host) -> None:
    host.seal()
    for folder in ("etc/parrotpark/credentials", "var/log/journal", "var/log/apt", "var/lib/dhcp", "tmp"):
        assert (host.root / folder).is_dir()


def test_services_are_told_first(host: Host) -> None:
    host.seal()
    assert host.ran == ["journalctl", "systemctl", "cloud-init"]


def test_check_says_what_would_go_and_does_nothing(host: Host) -> None:
    before = host.files()
    said = host.seal(check=True)
    assert (host.files(), host.ran) == (before, [])
    assert host.seal() == said
    assert f"{host.root}/etc/machine-id" in said


def test_a_sealed_host_is_left_as_it_is(host: Host) -> None:
    host.seal()
    assert host.seal() == []


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/etc/kernel/entry-token", MACHINE_ID, "entry-token holds the machine id"),
        ("/var/lib/app/key", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "app/key holds a private key"),
        ("/etc/shadow", "root:$y$j9T$x:20000::::::\n", "/etc/shadow holds a password of root"),
    ],
)
def test_what_is_left_is_named(host: Host, program: ModuleType, path: str, content: str, said: str) -> None:
    host.write(path, content)
    with pytest.raises(program.SealError) as caught:
        host.seal()
    (line,) = caught.value.left
    assert line.endswith(said)


def test_what_comes_back_is_named(host: Host, program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "remove", lambda _: None)
    with pytest.raises(program.SealError) as caught:
        host.seal()
    assert f"{host.root}/root/.ssh is left" in caught.value.left


def test_a_program_that_fails_is_named(program: ModuleType) -> None:
    with pytest.raises(program.SealError, match=r"ls /not/there: .*No such file"):
        program.run_program(("ls", "/not/there"))
