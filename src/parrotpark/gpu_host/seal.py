"""Make a prepared host fit to be copied: remove its identity, its secrets, and the traces of its past.

It is sent to the host on standard input, so that it leaves no file there. Usage: seal.py [--check] [PATTERN...], with
patterns of further paths. It prints one line of JSON, {"changed": bool, "removed": [...]}, and fails with a line for
everything that is left.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

# What makes a host unique, and who may log in.
IDENTITY = (
    "/etc/hostname",
    "/etc/ssh/ssh_host_*",
    "/root/.ssh",
    "/home/*/.ssh",
    "/var/lib/cloud/*",
    "/var/lib/dbus/machine-id",
    "/var/lib/dhcp/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/random-seed",
    "/boot/loader/random-seed",
    "/boot/efi/loader/random-seed",
)
# Traces of its past. Of the logs only the files: services expect their folders.
TRACES = (
    "/root/.*_history",
    "/home/*/.*_history",
    "/root/.lesshst",
    "/home/*/.lesshst",
    "/root/.viminfo",
    "/home/*/.viminfo",
    "/root/.wget-hsts",
    "/home/*/.wget-hsts",
    "/root/.ansible",
    "/home/*/.ansible",
    "/root/.cache",
    "/home/*/.cache",
    "/var/log/journal/*",
    "/var/log/**/*",
    "/var/lib/wtmpdb/*",
    "/var/lib/lastlog/*",
    "/var/lib/systemd/coredump/*",
    "/var/crash/*",
    "/var/mail/*",
    "/var/lib/apt/lists/*",
    "/var/lib/apt/periodic/*",
    "/var/cache/apt/*.bin",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/apt/archives/partial/*",
    "/tmp/*",  # noqa: S108
    "/var/tmp/*",  # noqa: S108
)
# Used by this task and by services: gone when the host is off.
IN_USE = ("/tmp/ansible_*", "/tmp/systemd-private-*", "/var/tmp/systemd-private-*")  # noqa: S108

MACHINE_ID = "/etc/machine-id"
HOSTS = "/etc/hosts"
SHADOW = "/etc/shadow"

COMMANDS = (
    # From here on the journal is kept in memory, and the seed of random numbers is not saved at shutdown.
    ("journalctl", "--relinquish-var"),
    ("systemctl", "stop", "systemd-random-seed.service"),
    ("cloud-init", "clean", "--logs", "--seed", "--configs", "all"),
)

SEARCHED = ("etc", "home", "root", "var")
SEARCHED_BYTES = 1 << 20  # a larger file is a program's, a model's or a cache's


class SealError(Exception):
    """The host cannot be sealed; `left` has one line for each reason."""

    def __init__(self, left: Sequence[str]) -> None:
        super().__init__("; ".join(left))
        self.left = tuple(left)


def seal(
    extra: Iterable[str],
    run: Callable[[Sequence[str]], None],
    *,
    root: Path = Path("/"),
    check: bool = False,
) -> list[str]:
    """Seal the host, or with `check` only say what would go; return the paths.

    Raises:
        SealError: something is left.
        OSError: something could not be removed.
    """
    patterns = (*IDENTITY, *TRACES, *extra)
    gone = [str(path) for path in find(root, patterns)]
    identity = root / MACHINE_ID.lstrip("/")
    machine_id = identity.read_text().strip() if identity.exists() else ""
    if machine_id:
        gone.append(str(identity))
    if check:
        return gone
    for command in COMMANDS:
        run(command)
    for path in find(root, patterns):
        remove(path)
    if machine_id:
        # If it is empty, the next boot makes a new one. If it were removed, systemd would take that for the very first
        # boot, and enable whatever is installed.
        identity.write_text("")
    forget_name(root)
    words = {"a private key": b"OPENSSH PRIVATE KEY-----"}
    if machine_id:
        words["the machine id"] = machine_id.encode()
    left = [f"{path} is left" for path in find(root, patterns)]
    left += [f"{path} holds {what}" for path, what in search(root, words)]
    left += [f"{SHADOW} holds a password of {name}" for name in with_password(root)]
    if left:
        raise SealError(left)
    return gone


def find(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """Yield what the patterns name, except what is in use."""
    kept = {path for pattern in IN_USE for path in _glob(root, pattern)}
    for pattern in patterns:
        for path in _glob(root, pattern):
            is_folder = path.is_dir() and not path.is_symlink()
            if path not in kept and not (is_folder and pattern.endswith("**/*")):
                yield path


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    return iter(sorted(root.glob(pattern.lstrip("/"))))


def remove(path: Path) -> None:
    """Remove a file or a whole folder; one that is already gone, for instance with its folder, is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def forget_name(root: Path) -> None:
    """Drop the host's own name from /etc/hosts; cloud-init writes the new one."""
    hosts = root / HOSTS.lstrip("/")
    if hosts.exists():
        lines = hosts.read_text().splitlines(keepends=True)
        hosts.write_text("".join(line for line in lines if not line.startswith("127.0.1.1")))


def search(root: Path, words: Mapping[str, bytes]) -> Iterator[tuple[Path, str]]:
    """Search every small file for what must not be there."""
    for folder in SEARCHED:
        for directory, _, names in os.walk(root / folder):
            for path in (Path(directory, name) for name in names):
                content = _small_content(path)
                yield from ((path, what) for what, word in words.items() if word in content)


def _small_content(path: Path) -> bytes:
    try:
        fitting = path.is_file() and not path.is_symlink() and path.stat().st_size <= SEARCHED_BYTES
        return path.read_bytes() if fitting else b""
    except FileNotFoundError:  # a service has just removed it
        return b""


def with_password(root: Path) -> list[str]:
    """Name those who have a password."""
    shadow = root / SHADOW.lstrip("/")
    entries = [line.split(":") for line in shadow.read_text().splitlines()] if shadow.exists() else []
    return [entry[0] for entry in entries if entry[1][:1] in ("$", "_")]


def run_program(command: Sequence[str]) -> None:
    """Run a program if it is installed; raises `SealError` with what it says."""
    if shutil.which(command[0]) is None:
        return
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SealError([f"{' '.join(command)}: {' '.join(done.stderr.split())}"])


def main() -> int:
    """Run the command; exit status 1 means that the host is not sealed."""
    parser = argparse.ArgumentParser(prog="seal")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()
    try:
        gone = seal(options.pattern, run_program, check=options.check)
    except SealError as error:
        print("\n".join(error.left), file=sys.stderr)
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"changed": bool(gone), "removed": gone}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
