"""The second sweep: it deletes what the entry server should have deleted long ago, and needs nothing of that server.

What opens the clouds is enough. A timer runs it, see `sweeper_timer.py`, and `make sweep` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from parrotpark.cloud import Account, Cloud, Leftover, Server, connect
from parrotpark.cloud.errors import CloudError
from parrotpark.fleet.actions import Remove, Sweep
from parrotpark.fleet.decide import refuse_others
from parrotpark.fleet.errors import FleetError
from parrotpark.shared.lease import Lease, LeaseError
from parrotpark.shared.slot_document import LONGEST_LEASE

GRACE = 900  # seconds for the entry server, which sweeps twice a minute, to go first; clocks may differ by as much


@dataclass(frozen=True, slots=True)
class Swept:
    """What was deleted, or in a check would be, and what could not be done."""

    actions: tuple[Sweep | Remove, ...]
    troubles: tuple[str, ...]


def sweep(clouds: Sequence[Cloud], now: Callable[[], float], *, check: bool = False) -> Swept:
    """Delete what has had no valid lease for `GRACE`; a cloud that cannot be asked holds up no other.

    Raises:
        WrongProject: a project is not the GPU hosts' own; nothing was touched.
    """
    # Before the lists: where this machine is suspended in between, leases look younger than they are, never older.
    moment = int(now())
    troubles: list[str] = []
    found: list[tuple[Cloud, Sequence[Server], Sequence[Leftover]]] = []
    for cloud in clouds:
        try:
            found.append((cloud, cloud.servers({}), cloud.leftovers()))
        except CloudError as error:
            troubles.append(f"cloud {cloud.name} cannot be asked: {error}")
    for _, servers, _ in found:
        refuse_others(servers)
    done: list[Sweep | Remove] = []
    for cloud, servers, leftovers in found:
        for action in overdue(moment, servers, leftovers):
            try:
                if not check:
                    _carry_out(cloud, action)
                done.append(action)
            except CloudError as error:
                troubles.append(f"{action}: {error}")
    return Swept(tuple(done), tuple(troubles))


def overdue(now: int, servers: Iterable[Server], leftovers: Iterable[Leftover]) -> tuple[Sweep | Remove, ...]:
    """Say what has had no valid lease for `GRACE`; `now` is epoch seconds.

    Which slots there are, and who serves in them, only the entry server knows: a valid lease is always believed here.
    """
    return (
        *(Sweep(server, objection) for server in servers if (objection := _objection(server, now))),
        *(Remove(leftover) for leftover in leftovers if now - leftover.created > GRACE),
    )


def _objection(server: Server, now: int) -> str | None:
    try:
        lease = Lease.parse(server.labels)
    except LeaseError as error:
        return str(error) if now - server.created > GRACE else None
    if now - lease.until > GRACE:
        return f"its lease ended {now - lease.until} s ago"
    return "its lease ends more than a day from now" if lease.until - now > LONGEST_LEASE + GRACE else None


def _carry_out(cloud: Cloud, action: Sweep | Remove) -> None:
    match action:
        case Sweep(server):
            cloud.delete(server)
        case Remove(leftover):
            cloud.delete_leftover(leftover)


def synchronised() -> bool:
    """Say whether something keeps this machine's clock right: just after its boot it may be off by hours."""
    ask = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        return subprocess.run(ask, check=False, capture_output=True, text=True).stdout.strip() == "yes"
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep that a timer starts; exit status 1 means that something could not be done."""
    parser = argparse.ArgumentParser(prog="parrotpark-sweeper", description="Delete what has no valid lease any more.")
    parser.add_argument("clouds", type=Path, help="the clouds of the GPU hosts, a list as inventories have it, in JSON")
    options = parser.parse_args(arguments)
    if not synchronised():
        return _fail(["this machine's clock is not synchronised (timedatectl), so nothing is judged by it"])
    try:
        accounts = [Account.of(values) for values in json.loads(options.clouds.read_text(encoding="utf-8"))]
        swept = sweep([connect(account) for account in accounts], time.time)
    except (CloudError, FleetError, OSError) as error:
        return _fail([str(error)])
    for action in swept.actions:
        print(action)
    return _fail(swept.troubles)


def _fail(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"parrotpark-sweeper: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
