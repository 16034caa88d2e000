"""Command line of the local cloud."""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from localcloud import daemon, teardown
from localcloud.core import catalogue, scarcity
from localcloud.core.backend import BackendError
from localcloud.core.store import Store
from localcloud.machine import images, podman, registry, roots
from localcloud.machine.listener import answers
from localcloud.machine.machines import PodmanBackend
from localcloud.paths import API_PORT, BRIDGE, INVENTORY_STATE, LOGS, STATE

LOG = LOGS / "daemon.log"
COMMAND_LOCK = Path("/run/parrotpark.lock")  # where only root can make files; it outlives RUNTIME
START_SECONDS = 60.0


def say(line: str) -> None:
    """Tell the user about progress."""
    print(line, flush=True)


def start() -> None:
    """Start the local cloud, or adopt the one that runs; machines that ran when it ended run again."""
    _ensure_daemon()
    registry.wait()


def _ensure_daemon() -> None:
    own, found = daemon.Owner.this(), daemon.owner()
    if found is not None and found.checkout != own.checkout:
        say(f"adopted the local cloud that runs from {found.checkout} (process {found.pid})")
        return
    if found is not None and found.code == own.code:
        say(f"the local cloud runs (process {found.pid})")
        return
    podman.configure()
    images.ensure("debian-13", say)
    registry.ensure_image(say)
    if found is not None:
        say("the program has changed: restarting it, while the machines keep running")
        teardown.stop_daemon()
    _launch()
    say(f"the local cloud answers on http://127.0.0.1:{API_PORT}/v1")


def _launch() -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    with LOG.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
    headers = {"Authorization": f"Bearer {next(iter(daemon.tokens()))}"}
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"http://127.0.0.1:{API_PORT}/v1/locations", headers):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BackendError(f"the local cloud did not start: {LOG.read_text().strip().splitlines()[-1]}")
        time.sleep(0.1)


def stop() -> None:
    """Shut the machines down in order and end the local cloud; data stays."""
    say("shutting the machines down")
    teardown.stop(force=False)
    say(f"stopped; the data stays in {STATE}")


def down(*, confirmed: bool) -> None:
    """Delete the local cloud with all its machines and data.

    Raises:
        BackendError: the user does not agree, and everything stays.
    """
    if not STATE.exists():
        say("there is no local cloud on this machine")
        return
    say(f"This deletes {STATE} and everything that runs from it:")
    for line in belongings():
        say(f"  {line}")
    if not confirmed and not _agrees("Delete all of it? [y/N] "):
        raise BackendError("nothing was deleted")
    teardown.remove()
    COMMAND_LOCK.unlink()
    say("deleted; this machine is as it was before, except for the packages that were installed")


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:  # nobody is there to answer
        return False


def belongings() -> list[str]:
    """List what `down` deletes."""
    state = Store(STATE).state
    return [
        *(f"server {server.name} ({server.project})" for server in state.servers.values()),
        *(f"volume {volume.name} ({volume.size} GB)" for volume in state.volumes.values()),
        *(f"image {name}" for name in roots.images()),
        f"registry, buckets, models, tokens, log; network {BRIDGE}",
        *([f"{INVENTORY_STATE}: passwords and SSH keys of its servers"] if INVENTORY_STATE.exists() else []),
    ]


def status() -> None:
    """Show what runs."""
    found = daemon.owner()
    say(f"local cloud: process {found.pid}, from {found.checkout}" if found else "local cloud: not running")
    if not STATE.exists():
        return
    state, running = Store(STATE).state, PodmanBackend().running()
    for server in state.servers.values():
        power = "running" if server.id in running else "off"
        labels = ",".join(f"{key}={value}" for key, value in server.labels.items())
        say(f"  {server.project:6} {server.name:20} {state.address(server) or '-':12} {power:8} {labels}")
    for image in state.images.values():
        size = "creating" if image.size_bytes is None else f"{image.size_bytes / 10**9:.1f} GB"
        say(f"  {image.project:6} image {image.id}: {image.name}, {size}")
    for line in scarcity.read(STATE).lines():
        say(f"  {line}")


def scarce(offer: tuple[str, str], switch: str) -> None:
    """Take an offer's capacity away, or give it back."""
    _set_scarcity(scarcity.read(STATE).with_offer(*offer, sold_out=switch == "on"))


def limit(project: str, servers: int | None) -> None:
    """Limit how many servers a project may have; None takes the limit away."""
    _set_scarcity(scarcity.read(STATE).with_limit(project, servers))


def _set_scarcity(wanted: scarcity.Scarcity) -> None:
    if not STATE.exists():
        raise BackendError("there is no local cloud on this machine: start it first")
    scarcity.write(STATE, wanted)
    for line in wanted.lines() or ["nothing is scarce"]:
        say(line)


def logs(*, follow: bool) -> None:
    """Show the end of the log."""
    if not LOG.exists():
        raise BackendError("there is no log yet: start the local cloud first")
    with suppress(KeyboardInterrupt):
        subprocess.run(["tail", "--lines=200", *(["--follow=name"] if follow else []), LOG], check=False)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with COMMAND_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns an exit status."""
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("the local cloud needs root: run this with sudo", file=sys.stderr)
        return 1
    os.umask(0o022)  # what it makes are roots of machines, which all their users have to enter
    run: dict[str, Callable[[], None]] = {
        "start": start,
        "stop": stop,
        "down": lambda: down(confirmed=options.yes),
        "status": status,
        "scarce": lambda: scarce((options.type, options.location), options.switch),
        "limit": lambda: limit(options.project, options.servers),
        "logs": lambda: logs(follow=options.follow),
        "serve": daemon.main,
    }
    try:
        if options.command in {"start", "stop", "down", "scarce", "limit"}:
            with _one_at_a_time():
                run[options.command]()
        else:
            run[options.command]()
    except (BackendError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcloud", description="A Hetzner-Cloud-compatible cloud on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("start", help="start it, or adopt the one that runs; make its image the first time")
    commands.add_parser("stop", help="shut the machines down and end it; data stays")
    commands.add_parser("down", help="delete it with all its machines and data").add_argument(
        "--yes", action="store_true", help="do not ask"
    )
    commands.add_parser("status", help="show what runs")
    offer = commands.add_parser("scarce", help="take a server type's capacity in a location away, or give it back")
    offer.add_argument("--type", required=True, choices=[kind.name for kind in catalogue.SERVER_TYPES])
    offer.add_argument("--location", required=True, choices=[place.name for place in catalogue.LOCATIONS])
    offer.add_argument("switch", choices=["on", "off"])
    most = commands.add_parser("limit", help="limit how many servers a project may have, or lift the limit")
    most.add_argument("--project", required=True, choices=daemon.PROJECTS)
    most.add_argument("servers", type=_count, metavar="N|off", help="how many servers it may have at most")
    commands.add_parser("logs", help="show the end of its log").add_argument(
        "-f", "--follow", action="store_true", help="keep showing new lines"
    )
    commands.add_parser("serve", help="run it in the foreground")
    return parser


def _count(text: str) -> int | None:
    if text == "off":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor off: give one of them")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
