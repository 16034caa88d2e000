"""End this GPU host's work once its lease is over, whatever has happened to those who should end it.

With what it imports of ours, and nothing but the standard library, it is /usr/local/sbin/parrotpark-deadman on the GPU
host. A timer runs it, again and again. It asks the entry server when the lease of this slot ends. There are two kinds
of host:

- One that is made for its lease is powered off once the latest end that it has ever heard of has passed.
- One that is always there, `--unit`, follows its lease: the unit with the models runs while there is one, by the last
  answer that the entry server gave. Nobody has to reach such a host, so it may stand behind a router.
"""

from __future__ import annotations

import argparse
import http.client
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from os import sysconf
from pathlib import Path

from parrotpark.shared.slot_document import LONGEST_LEASE, NO_LEASE, PATH, DocumentError, loads, name_and_lease

MEMORY = Path("/run/parrotpark-deadman/end")

# All in seconds.
GRACE = 300  # after a boot, to hear from the entry server
WITHOUT_LEASE = 3 * 3600  # from boot: a bake, or a host that knows of no lease it can believe
TIMEOUT = 5


# ---- The decision -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """The ends this host has been told, all in seconds since its boot, so that setting the clock does not move them."""

    uptime: float
    promised: float | None = None  # in the slot document
    heard: float | None = None  # from the entry server, just now
    remembered: float | None = None  # the latest one believed before

    @property
    def latest(self) -> float | None:
        """Return the latest of them, None if there are none."""
        return max((end for end in (self.promised, self.heard, self.remembered) if end is not None), default=None)


@dataclass(frozen=True)
class Verdict:
    """When this host has to end, in seconds since its boot, and why."""

    end: float
    why: str


def decide(facts: Facts) -> Verdict:
    """Choose the end: the latest one told, or a fixed one if none can be believed."""
    if facts.latest is None:
        return Verdict(WITHOUT_LEASE, "it has no lease that can be believed")
    return Verdict(max(facts.latest, GRACE), "its lease is over")


def leased(facts: Facts) -> bool:
    """Say whether a host that is always there has a lease: the newest answer counts, even if it is an earlier end.

    While the entry server does not answer, its last answer holds; after a boot there is none, and so no lease.
    """
    end = facts.remembered if facts.heard is None else facts.heard
    return end is not None and facts.uptime < end


def believe(until: int, now: float, uptime: float) -> float | None:
    """Turn an end in epoch seconds, and the time by the same clock, into seconds since boot; None for an absurd one."""
    left = until - now
    return uptime + left if abs(left) <= LONGEST_LEASE else None


# ---- What this host knows, and can ask --------------------------------------------------------------------------


@dataclass(frozen=True)
class Slot:
    """What matters here of the slot document."""

    hostname: str
    until: int  # epoch seconds


def read_slot(path: Path) -> Slot | None:
    """Read the slot document; None if there is none, or if it makes no sense."""
    try:
        return Slot(*name_and_lease(loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, DocumentError) as error:
        say(f"{path} cannot be used: {type(error).__name__}")  # the error itself may quote a secret
        return None


def read_memory(path: Path) -> float | None:
    """Read the latest end believed since boot; None if there is none, or if it cannot be read."""
    try:
        return float(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        say(f"the latest end cannot be read: {error}")
        return None


def remember(path: Path, end: float) -> None:
    """Keep an end, if possible: a file that cannot be written must not keep a host alive."""
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{end:.0f}\n", encoding="utf-8")
    except OSError as error:
        say(f"the latest end cannot be kept: {error}")


def ask(url: str, uptime: float, *, unleased: bool = False) -> float | None:
    """Ask the entry server; return the end in seconds since boot, None for no answer or one that makes no sense.

    With `unleased`, `NO_LEASE` makes sense: the lease is over since boot.
    """
    # No proxy: the entry server is at the other end of the overlay.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT) as response:
            text = response.read(32).decode("ascii").strip()
            date = response.headers["Date"]
        if not re.fullmatch("[0-9]{1,12}", text):
            raise ValueError("it is not epoch seconds")
        if int(text) == NO_LEASE and unleased:
            return 0.0
        # The answer's own date, so that a wrong clock on this host shortens no lease.
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
        end = believe(int(text), now, uptime)
        if end is None:
            raise ValueError(f"an end {(int(text) - now) / 3600:+.0f} h from now is absurd")
        return end
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's own errors are OSErrors
        say(f"{url}: {error}")
        return None


def since_boot() -> float:
    """Return the seconds since this host's first process began, which in a container is not the kernel's boot."""
    # The 22nd field, in clock ticks since the kernel's boot; the second one, in brackets, may hold anything.
    began = int(Path("/proc/1/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """Tell the journal, if it listens."""
    with suppress(OSError):
        print(f"parrotpark-deadman: {text}", file=sys.stderr)


# ---- The command ------------------------------------------------------------------------------------------------


def look(url: str, document: Path, memory: Path) -> Facts:
    """Gather what this host knows, and can ask, about its end."""
    uptime = since_boot()
    slot = read_slot(document)
    if slot is None:
        return Facts(uptime, remembered=read_memory(memory))
    return Facts(
        uptime,
        promised=believe(slot.until, time.time(), uptime),
        heard=ask(url.replace("{hostname}", slot.hostname), uptime),
        remembered=read_memory(memory),
    )


def power_off(url: str, *, check: bool) -> int:
    """Power this host off if its lease is over; return the exit status."""
    facts = look(url, Path(PATH), MEMORY)
    verdict = decide(facts)
    left = verdict.end - facts.uptime
    if facts.latest is not None and not check:
        remember(MEMORY, facts.latest)
    if left > 0:
        say(f"{left:.0f} s left")
        return 0
    say(f"powering off, {-left:.0f} s overdue: {verdict.why}")
    return 0 if check else systemctl("poweroff")


def follow(url: str, unit: str, then: str, *, check: bool) -> int:
    """Let the unit run while there is a lease; start `then` once it has been stopped; return the exit status.

    It says every time what shall be, whatever it said before: what failed, or was started or stopped by others, is put
    right by the next run.
    """
    uptime = since_boot()
    facts = Facts(uptime, heard=ask(url, uptime, unleased=True), remembered=read_memory(MEMORY))
    if facts.heard is not None and not check:
        remember(MEMORY, facts.heard)
    runs, shall_run = systemctl("is-active", "--quiet", unit, quiet=True) == 0, leased(facts)
    if runs != shall_run:
        say(f"there is {'a' if shall_run else 'no'} lease: {unit} is {'started' if shall_run else 'stopped'}")
    if check:
        return 0
    if shall_run:
        return systemctl("start", "--no-block", unit)  # models take minutes to load
    if status := systemctl("stop", unit):
        return status
    return systemctl("start", "--no-block", then) if then and runs else 0


def systemctl(*arguments: str, quiet: bool = False) -> int:
    """Run systemctl; return 1 if it fails, after saying why unless `quiet`."""
    done = subprocess.run(["systemctl", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0 and not quiet:
        say(f"systemctl {' '.join(arguments)}: {' '.join(done.stderr.split())}")
    return done.returncode and 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 1 means that systemd refused what was to be done."""
    parser = argparse.ArgumentParser(prog="parrotpark-deadman", description="End this host's work after its lease.")
    parser.add_argument("--lease-url", required=True, help="URL of the lease's end; {hostname} is replaced by ours")
    parser.add_argument("--unit", help="start and stop this unit with the lease, instead of powering the host off")
    parser.add_argument("--then", default="", help="unit to start once that one has been stopped")
    parser.add_argument("--check", action="store_true", help="only say what would happen")
    options = parser.parse_args(arguments)
    if options.unit:
        return follow(options.lease_url, options.unit, options.then, check=options.check)
    return power_off(options.lease_url, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
