"""Let programs from outside judge the hosts of the running stack: `python tests/audit/audit.py [INVENTORY]`.

- Lynis, the index of a host's hardening: taken from the host's package index, run from a folder that is deleted after;
- ssh-audit, what the SSH server offers: a warning is a miss;
- `systemd-analyze security`, the exposure of every unit that a file of ours makes or changes.

Writes docs/audit.md; the exit status is 1 where a bound is missed. What is excused stands with its reason in the *.prf
files beside this one and in EXPOSED.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/audit.md"
LYNIS_INDEX = 85  # at least
EXPOSURE = 2.0  # at most

# Units that may be exposed more, each with its reason.
EXPOSED = {
    "open-webui.service": (
        "This is Podman, which as root builds the sandbox that the chat runs in: a user that is nobody on the host, no "
        "capabilities, no new privileges, a read-only root, system calls filtered, and only the addresses it is given."
    ),
}

LYNIS = r"""
umask 022
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Package lists of its own: a golden image has none, and what a host has is left as it is.
mkdir -p lists/partial
apt() { apt-get -qq -o APT::Sandbox::User=root -o Dir::State::Lists="$folder/lists" "$@" >&2; }
apt update
apt download lynis
dpkg-deb --extract lynis_*.deb .
echo "$EVERYWHERE" >> etc/lynis/default.prf
if systemd-detect-virt --quiet --container; then echo "$CONTAINER" >> etc/lynis/default.prf; fi
cd usr/share/lynis
# Without a warning it exits 0, with one 78.
../../sbin/lynis audit system --quiet --no-colors \
  --profile "$folder/etc/lynis/default.prf" --plugindir "$folder/etc/lynis/plugins" \
  --logfile "$folder/log" --report-file "$folder/report" >&2 || test $? -eq 78
cat "$folder/report"
"""

# Ours are the units that stand in /etc or that Quadlet makes, those with a drop-in there, and transient ones by name.
UNITS = "systemctl show --all --property=Id,LoadState,FragmentPath,SourcePath,DropInPaths '*.service'"


class AuditError(Exception):
    """A host could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """What is not asked, and why."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What the programs say of one host."""

    host: str
    index: int
    lynis: tuple[str, ...]  # what it would still have us do
    ssh: tuple[str, ...]
    units: Mapping[str, float]

    def missed(self) -> list[str]:
        """Name every bound that is missed."""
        misses = [f"ssh-audit: {warning}" for warning in self.ssh]
        if self.index < LYNIS_INDEX:
            misses.append(f"Lynis: {self.index}, which is less than {LYNIS_INDEX}")
        if not self.units:
            misses.append("systemd-analyze: no unit of ours was found")
        misses += [
            f"{unit}: {exposure}, which is more than {EXPOSURE}"
            for unit, exposure in self.units.items()
            if exposure > EXPOSURE and unit not in EXPOSED
        ]
        return [f"{self.host}: {miss}" for miss in misses]


# ---- What the programs say --------------------------------------------------------------------------------------


def parse_waivers(profile: str) -> list[Waiver]:
    """Read the paragraphs of a profile that excuse tests: comment lines, which are the reason, and tests."""
    waivers = []
    for paragraph in profile.split("\n\n"):
        lines = paragraph.strip().splitlines()
        names = tuple(line.removeprefix("skip-test=") for line in lines if line.startswith("skip-test="))
        reason = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
        if names and not reason:
            raise AuditError(f"no reason is given for {', '.join(names)}")
        if names:
            waivers.append(Waiver(names, reason))
    return waivers


def parse_lynis(report: str) -> tuple[int, tuple[str, ...]]:
    """Return the index of Lynis's report and what it warns of or suggests."""
    index = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    if index is None:
        raise AuditError("Lynis wrote no index")
    advice = re.findall(r"^(?:warning|suggestion)\[\]=([^|]*)\|([^|]*)\|([^|]*)", report, re.MULTILINE)
    return int(index[1]), tuple(
        f"{test}: {text}" + (f" ({detail})" if detail not in ("", "-") else "") for test, text, detail in advice
    )


def parse_ssh_audit(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every failure and warning in the report of ssh-audit."""
    return tuple(
        f"{offer['algorithm']}: {note}"
        for kind in ("kex", "key", "enc", "mac")
        for offer in report[kind]
        for level in ("fail", "warn")
        for note in offer.get("notes", {}).get(level, [])
    )


def parse_units(shown: str) -> list[str]:
    """Choose our units among those that `systemctl show` has shown."""
    units = []
    for block in shown.strip().split("\n\n"):
        properties = dict(line.partition("=")[::2] for line in block.splitlines())
        places = [properties.get(name, "") for name in ("FragmentPath", "SourcePath")]
        places += properties.get("DropInPaths", "").split()
        ours = ("/etc/systemd/system/", "/etc/containers/systemd/")
        mine = any(place.startswith(ours) for place in places) or properties["Id"].startswith("parrotpark-")
        if mine and properties["LoadState"] == "loaded":  # a masked one is a file there, too
            units.append(properties["Id"])
    return sorted(units)


def parse_exposures(said: str) -> dict[str, float]:
    """Read the last line that `systemd-analyze security` says of each unit."""
    found = re.findall(r"Overall exposure level for (\S+): ([\d.]+)", said)
    return {unit: float(exposure) for unit, exposure in found}


# ---- The hosts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and the way to it that Ansible takes."""

    name: str
    way: tuple[str, ...]

    def run(self, script: str) -> str:
        """Run a shell script as root; returns what it printed.

        Raises:
            AuditError: it failed.
        """
        shell = ["ssh", *self.way, "bash -eu -o pipefail"]
        done = subprocess.run(shell, input=script, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise AuditError(f"{self.name}: {done.stderr.strip()[-2000:] or f'exit status {done.returncode}'}")
        return done.stdout

    @contextmanager
    def ssh_port(self) -> Iterator[int]:
        """Give its SSH server's port a number on this machine: a GPU host is not reached directly."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        forward = ["-o", "ExitOnForwardFailure=yes", "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:22"]
        with subprocess.Popen(["ssh", *forward, *self.way]) as tunnel:
            try:
                await_port(port)
                yield port
            finally:
                tunnel.terminate()


def await_port(port: int) -> None:
    """Wait until something answers at a port of this machine."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise AuditError(f"no tunnel to the SSH server: {error}") from None
            time.sleep(0.2)
        else:
            return


def hosts(inventory: str) -> list[Host]:
    """Return the entry server and the GPU hosts of an inventory.

    Raises:
        AuditError: one of the groups is empty.
    """
    command = ["ansible-inventory", "-i", inventory, "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    found = []
    for group in ("entry", "gpu"):
        names = listed.get(group, {}).get("hosts", [])
        if not names:
            raise AuditError(f"there is no host in the group {group}: run `make site` or `make wake` first")
        for name in names:
            variables = listed["_meta"]["hostvars"][name]
            key, options = variables["ansible_ssh_private_key_file"], shlex.split(variables["ansible_ssh_common_args"])
            address = f"{variables['ansible_user']}@{variables['ansible_host']}"
            found.append(Host(name, ("-i", key, *options, address)))
    return found


def profile(name: str) -> str:
    """Return the text of one of the profiles beside this file."""
    return Path(__file__).with_name(f"{name}.prf").read_text()


def measure(host: Host) -> Findings:
    """Let all three programs judge a host."""
    excused = f"EVERYWHERE={shlex.quote(profile('lynis'))}\nCONTAINER={shlex.quote(profile('lynis-container'))}\n"
    index, advice = parse_lynis(host.run(excused + LYNIS))
    units = parse_units(host.run(UNITS))
    said = host.run(f"systemd-analyze security --no-pager {shlex.join(units)}") if units else ""
    with host.ssh_port() as port:
        # Without the test of how many connections it takes at once: OpenSSH would shut us out.
        command = ["ssh-audit", "--json", "--skip-rate-test", "--port", str(port), "127.0.0.1"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        offers = parse_ssh_audit(json.loads(done.stdout))
    except (ValueError, KeyError):
        raise AuditError(f"{host.name}: ssh-audit: {done.stdout}{done.stderr}") from None
    exposures = parse_exposures(said)
    if unmeasured := set(units) - set(exposures):
        raise AuditError(f"{host.name}: systemd-analyze says nothing of {', '.join(sorted(unmeasured))}")
    return Findings(host.name, index, advice, offers, exposures)


# ---- The page ---------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def render(findings: Sequence[Findings], everywhere: Sequence[Waiver], container: Sequence[Waiver]) -> str:
    """Write the page: what was measured, what is excused, and what Lynis would still have us do."""
    measured: list[Sequence[object]] = [
        ("Lynis", f"at least {LYNIS_INDEX}", *(host.index for host in findings)),
        ("ssh-audit", "no warning", *("; ".join(host.ssh) or "none" for host in findings)),
    ]
    for unit in sorted({unit for host in findings for unit in host.units}):
        bound = "excused" if unit in EXPOSED else f"at most {EXPOSURE}"
        measured.append((f"`{unit}`", bound, *(host.units.get(unit, "") for host in findings)))
    excused = [(f"`{unit}`", reason) for unit, reason in EXPOSED.items()]
    excused += [(", ".join(waiver.names), waiver.reason) for waiver in everywhere]
    excused += [(", ".join(waiver.names), f"*In containers only.* {waiver.reason}") for waiver in container]
    left: dict[str, list[str]] = {}
    for host in findings:
        for advice in host.lynis:
            left.setdefault(advice, []).append(host.host)
    return "\n".join(
        (
            "# What programs from outside say of the hosts\n",
            "Written by `make audit`, which fails where a bound is missed: Lynis's index of hardening, ssh-audit's",
            "warnings, and for each unit of ours the exposure that `systemd-analyze security` finds, from 0 to 10.\n",
            table(("", "bound", *(host.host for host in findings)), measured),
            "## What is excused, and why\n",
            table(("", "because"), excused),
            "## What Lynis would still have us do\n",
            table(("", "on"), [(advice, ", ".join(names)) for advice, names in left.items()]),
        )
    )


def main(arguments: Sequence[str]) -> int:
    """Measure, write the page, and say what is missed."""
    inventory = arguments[0] if arguments else "inventories/local"
    try:
        waivers = [parse_waivers(profile(name)) for name in ("lynis", "lynis-container")]
        findings = [measure(host) for host in hosts(inventory)]
    except AuditError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(render(findings, *waivers))
    misses = [miss for host in findings for miss in host.missed()]
    print(*misses or [f"every bound holds: {PAGE.relative_to(ROOT)}"], sep="\n")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
