"""The command `parrotpark` on the entry server: no Ansible, no vault password."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from parrotpark.cloud import connect
from parrotpark.cloud.errors import CloudError, InvalidRequest
from parrotpark.cloud.static import StaticCloud
from parrotpark.fleet import health, verbs
from parrotpark.fleet.actions import Shortfall
from parrotpark.fleet.config import ConfigError, Fleet, load
from parrotpark.fleet.drain import PacketFilter
from parrotpark.fleet.errors import FleetError
from parrotpark.fleet.keep import Keeper
from parrotpark.fleet.status import status
from parrotpark.fleet.verbs import Report
from parrotpark.shared.clock import SystemClock
from parrotpark.shared.history import History
from parrotpark.shared.progress import Progress
from parrotpark.shared.wish import ASLEEP, Wish, WishError, read_wish

CONFIG = Path("/etc/parrotpark/fleet.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 2 means wrong arguments or configuration, 1 that something could not be done."""
    options = _parser().parse_args(arguments)
    try:
        fleet = load(options.config)
        wish = Wish(options.hosts).fitting(len(fleet.slots)) if options.verb == "wake" else ASLEEP
    except ConfigError as error:
        return _fail(error.problems, 2)
    except WishError as error:
        return _fail([str(error)], 2)
    if options.verb == "check":
        print(f"{options.config} is fine: {len(fleet.slots)} slots, {len(fleet.offers)} offers")
        return 0
    try:
        if options.verb == "provisioned":
            return _provisioned(fleet, options.box, options.fingerprint, as_json=options.json)
        keeper = _keeper(fleet)
        if options.verb == "status":
            return _status(keeper, as_json=options.json)
        report = _run(options.verb, keeper, wish, check=options.check)
    except (CloudError, FleetError, WishError) as error:
        return _fail([str(error)], 1)
    except ConfigError as error:
        return _fail(error.problems, 2)
    except OSError as error:
        return _fail([f"{error}: run it as root" if isinstance(error, PermissionError) else str(error)], 1)
    except KeyboardInterrupt:
        return _fail(["interrupted; the wish stays, and the timer goes on fulfilling it"], 130)
    return _print_report(report, check=options.check, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="parrotpark", description="Let the GPU hosts sleep and wake.")
    verb = parser.add_subparsers(dest="verb", required=True)
    for name, text in (
        ("wake", "set the wish to awake, and wait until the GPU hosts serve"),
        ("sleep", "set the wish to asleep, and wait until they are gone"),
        ("keep", "take one step towards the wish; a timer does so every half minute"),
        ("sweep", "delete servers without a valid lease, and addresses and volumes without a server"),
        ("status", "show wish, golden image and slots"),
        ("provisioned", "record from which fingerprint a box was provisioned, as make wake does"),
        ("check", "check the configuration"),
    ):
        command = verb.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument("--config", type=Path, default=CONFIG, help=f"the configuration (default: {CONFIG})")
        if name == "wake":
            command.add_argument("hosts", nargs="?", type=_number, help="how many (default: as configured)")
        if name == "provisioned":
            command.add_argument("box", help="its name in the inventory")
            command.add_argument("fingerprint", help="what it was provisioned from")
        if name != "check":
            command.add_argument("--json", action="store_true", help="end with one line of JSON")
        if name not in ("check", "provisioned", "status"):
            command.add_argument("--check", action="store_true", help="only say what would happen")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 999:
        raise argparse.ArgumentTypeError("give a number from 1 to 999; for none, use parrotpark sleep")
    return int(text)


def _keeper(fleet: Fleet) -> Keeper:
    clock = SystemClock()
    progress = Progress(clock, History(fleet.state_dir / "history.jsonl"), lambda line: print(line, flush=True))
    return Keeper(fleet, map(connect, fleet.clouds), clock, PacketFilter(fleet.ports), health.ready, progress)


def _run(verb: str, keeper: Keeper, wish: Wish, *, check: bool) -> Report:
    if verb in ("wake", "sleep"):
        return verbs.plan_wish(keeper, wish) if check else verbs.fulfil(keeper, wish)
    if verb == "sweep":
        return verbs.plan_sweep(keeper) if check else verbs.sweep(keeper)
    return verbs.plan(keeper, read_wish(keeper.fleet.wish_file)) if check else verbs.keep(keeper)


def _status(keeper: Keeper, *, as_json: bool) -> int:
    found = status(keeper.fleet, read_wish(keeper.fleet.wish_file), keeper.look())
    print(json.dumps(found.to_dict()) if as_json else "\n".join(found.lines()))
    return 0


def _provisioned(fleet: Fleet, box: str, fingerprint: str, *, as_json: bool) -> int:
    """Raises `CloudError` if there is no such box, or nothing can be recorded."""
    clouds = [StaticCloud(account) for account in fleet.clouds if box in [each.name for each in account.hosts]]
    if not clouds:
        raise InvalidRequest(f"{box} is not a box of this installation: parrotpark_clouds of the inventory names them")
    changed = clouds[0].provisioned(box, fingerprint)
    print(json.dumps({"changed": changed}) if as_json else f"{box} is provisioned from {fingerprint}")
    return 0


def _print_report(report: Report, *, check: bool, as_json: bool) -> int:
    for action in report.actions if check else ():
        print(f"would {'fail' if isinstance(action, Shortfall) else 'do'}: {action}")
    for trouble in report.troubles:
        print(f"parrotpark: {trouble}", file=sys.stderr)
    if as_json:
        print(json.dumps({"changed": report.changed, "actions": [str(action) for action in report.actions]}))
    return 1 if report.troubles else 0


def _fail(problems: Sequence[str], status: int) -> int:
    for problem in problems:
        print(f"parrotpark: {problem}", file=sys.stderr)
    return status
