"""A systemd timer for the second sweep on this machine: the system's where root makes it, else the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parrotpark.cloud import Account
from parrotpark.shared.files import differs, write_file
from parrotpark.shared.lease import label_value

MODULE = "parrotpark.control.sweeper"
MODE = 0o644  # nothing of it is secret: the credentials stay in the files that the inventory names

# What needs nothing but seccomp, and so works in a user's own systemd, too.
_SANDBOX = """\
NoNewPrivileges=true
LockPersonality=true
MemoryDenyWriteExecute=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
"""
_SANDBOX_OF_ROOT = """\
# Program and credentials may lie in somebody's home. It can read them, and write nothing.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
ProtectHome=read-only
ProtectSystem=strict
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
"""
_SERVICE = """\
# Made by `make sweeper`; `make sweeper OFF=1` takes it away.
[Unit]
Description=Delete what has no valid lease any more in the GPU projects of {name}
{after}
[Service]
Type=oneshot
ExecStart={command}
{environment}TimeoutStartSec=15min

{sandbox}"""
_TIMER = """\
# Made by `make sweeper`; `make sweeper OFF=1` takes it away.
[Unit]
Description=Sweep the GPU projects of {name} every ten minutes

[Timer]
# By the calendar: a machine that slept, or was off, makes up at once for what it has missed.
OnCalendar=*:0/10
Persistent=true

[Install]
WantedBy=timers.target
"""

type Run = Callable[[Sequence[str]], str]


class TimerError(Exception):
    """systemd refuses; the message is one line."""


def run(command: Sequence[str]) -> str:
    """Run a program and return what it says; raises `TimerError` if it fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise TimerError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise TimerError(f"{' '.join(command)}: {said or f'exit status {done.returncode}'}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Manager:
    """A systemd, and where what is made for it lies."""

    units: Path
    settings: Path
    user: bool

    @classmethod
    def own(cls) -> Self:
        """Return the system's for root, and for anybody else their own."""
        if os.geteuid() == 0:
            return cls(Path("/etc/systemd/system"), Path("/etc/parrotpark"), user=False)
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return cls(folder / "systemd/user", folder / "parrotpark", user=True)

    def systemctl(self, *arguments: str) -> list[str]:
        return ["systemctl", *(["--user"] if self.user else []), *arguments]


@dataclass(frozen=True, slots=True)
class SweeperTimer:
    """The timer for the inventory of that name."""

    inventory: str
    manager: Manager

    @property
    def name(self) -> str:
        return label_value(self.inventory)  # fit for the name of a unit

    @property
    def unit(self) -> str:
        return f"parrotpark-sweeper-{self.name}"

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """Where the clouds, the service and the timer are written down."""
        units = self.manager.units
        return self._clouds, units / f"{self.unit}.service", units / f"{self.unit}.timer"

    @property
    def _clouds(self) -> Path:
        return self.manager.settings / f"sweeper-{self.name}.json"

    def install(
        self, accounts: Sequence[Account], python: str, ca_bundle: str = "", *, check: bool = False, run: Run = run
    ) -> bool:
        """Make the timer, and let it sweep once; return whether anything had to be done.

        `python` is the interpreter that has our package, `ca_bundle` what it trusts instead of its own list.

        Raises:
            TimerError: there is no cloud to sweep, systemd refuses, or the sweep fails; a timer that was made stays.
            OSError: a file cannot be written.
        """
        if not accounts:
            raise TimerError("parrotpark_gpu_offers names no cloud that makes servers: there is nothing to sweep")
        wanted = self.files(accounts, python, ca_bundle)
        stale = [path for path, content in wanted.items() if differs(path, content, MODE)]
        if not stale and self._property("timer", "ActiveState", run) == "active" and self._succeeded(run):
            return False
        if check:
            return True
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)  # as such folders usually are, and not for us alone
            write_file(path, wanted[path], MODE)
        run(self.manager.systemctl("daemon-reload"))
        run(self.manager.systemctl("enable", "--now", f"{self.unit}.timer"))
        run(self.manager.systemctl("start", f"{self.unit}.service"))
        return True

    def linger(self, *, run: Run = run) -> str:
        """Let a user's timer go on while they are not logged in; return what to do where that is refused."""
        if self.manager.user:
            try:
                run(["loginctl", "enable-linger"])
            except TimerError:
                return (
                    "it runs only while you are logged in: loginctl enable-linger with your name, as root, changes that"
                )
        return ""

    def remove(self, *, run: Run = run) -> bool:
        """Take the timer away; return whether there was one. Raises as `install`."""
        there = [path for path in self.paths if path.exists()]
        if not there:
            return False
        if self.paths[-1] in there:
            run(self.manager.systemctl("disable", "--now", f"{self.unit}.timer"))
        for path in there:
            path.unlink()
        run(self.manager.systemctl("daemon-reload"))
        # It is forgotten that it failed, if it did.
        run(self.manager.systemctl("reset-failed", f"{self.unit}*"))
        return True

    def status(self, *, run: Run = run) -> str:
        """Say in a line how it is; nothing if there is none."""
        try:
            return self._status(run) if self.paths[-1].exists() else ""
        except TimerError as error:
            return f"the second sweeper cannot be asked: {error}"

    def _status(self, run: Run) -> str:
        if (state := self._property("timer", "ActiveState", run)) != "active":
            return f"the second sweeper does not run: {self.unit}.timer is {state}; make sweeper starts it"
        if not self._succeeded(run):
            journal = "journalctl --user" if self.manager.user else "journalctl"
            return f"the second sweeper FAILS: {journal} --unit={self.unit} says why"
        ended = self._property("service", "ExecMainExitTimestamp", run)
        return f"the second sweeper runs every ten minutes, last at {ended or '(not since this machine booted)'}"

    def files(self, accounts: Sequence[Account], python: str, ca_bundle: str = "") -> Mapping[Path, bytes]:
        """Write down the clouds and both units."""
        sandbox = _SANDBOX if self.manager.user else _SANDBOX + _SANDBOX_OF_ROOT
        service = _SERVICE.format(
            name=self.name,
            # A user's systemd knows nothing of the network.
            after="" if self.manager.user else "Wants=network-online.target\nAfter=network-online.target\n",
            command=" ".join(map(_quoted, (python, "-I", "-m", MODULE, str(self._clouds)))).replace("$", "$$"),
            environment=f"Environment={_quoted(f'REQUESTS_CA_BUNDLE={ca_bundle}')}\n" if ca_bundle else "",
            sandbox=sandbox,
        )
        clouds = json.dumps([account.to_dict() for account in accounts], indent=4) + "\n"
        contents = clouds, service, _TIMER.format(name=self.name)
        return {path: content.encode() for path, content in zip(self.paths, contents, strict=True)}

    def _succeeded(self, run: Run) -> bool:
        return self._property("service", "Result", run) == "success"

    def _property(self, kind: str, name: str, run: Run) -> str:
        return run(self.manager.systemctl("show", f"--property={name}", "--value", f"{self.unit}.{kind}")).strip()


def _quoted(word: str) -> str:
    """Write a word so that systemd takes it as it is."""
    for special, harmless in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        word = word.replace(special, harmless)
    return f'"{word}"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Do for `make` what needs no inventory: `off NAME` and `status NAME`."""
    verb, name = sys.argv[1:] if arguments is None else arguments
    timer = SweeperTimer(name, Manager.own())
    try:
        if verb == "status":
            said = timer.status()
        else:
            said = f"{timer.unit} is gone" if timer.remove() else f"there is no {timer.unit} on this machine"
    except (TimerError, OSError) as error:
        print(f"parrotpark: {error}", file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
