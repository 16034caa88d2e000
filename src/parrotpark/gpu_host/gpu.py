"""Check whether this host's cards may serve, before its models start, and tell what they do.

With what it imports of ours, and nothing but the standard library, it is /usr/local/sbin/parrotpark-gpu on a GPU host.
`check` ends with status 1 and a line for each reason on standard error where the host may not serve, and keeps them in
a file; `serve` answers /health with them, and /metrics with what nvidia-smi says, for Prometheus; `facts` is for
Ansible.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from parrotpark.gpu_host import health
from parrotpark.gpu_host.health import Health, Reason
from parrotpark.gpu_host.nvidia_smi import Facts, NvidiaSmiError, failure, library_version, module_version, parse
from parrotpark.shared.files import write_file

RESULT = Path("/run/parrotpark-gpu/health.json")
DRIVER = Path("/proc/driver/nvidia/version")
TIMEOUT = 60  # seconds; the first nvidia-smi after a boot sets the cards up
NOT_INSTALLED = 127  # exit status, as shells have it

SMI = ("nvidia-smi", "-q", "-x")
TABLE = ("nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv,noheader")
LOG = ("journalctl", "--dmesg", "--boot", "--output=cat", "--no-pager", "--quiet")
_WRONG = "take another host; if this one is yours, look at its power and cooling, and have the card replaced"

# Runs a program for at most so many seconds; returns its status, and what it printed to both streams.
Run = Callable[[Sequence[str], float], tuple[int, str]]


def run_program(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a program; one that is not there or does not end is a failure like any other."""
    try:
        done = subprocess.run(
            command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
    except FileNotFoundError:
        return NOT_INSTALLED, f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return NOT_INSTALLED, f"{command[0]} did not end within {seconds:.0f} s"
    return done.returncode, done.stdout


# ---- What there is ----------------------------------------------------------------------------------------------


def told(run: Run) -> tuple[Facts | NvidiaSmiError, str | None]:
    """Ask nvidia-smi; return what it told, or how it failed, and the version of the libraries if that is known."""
    status, output = run(SMI, TIMEOUT)
    if status != 0:
        return failure(status, output), library_version(output)
    try:
        return parse(output, run(TABLE, TIMEOUT)[1]), None
    except NvidiaSmiError as error:
        return error, None


def examine(run: Run, driver: Path = DRIVER) -> Health:
    """Judge the host by what it tells."""
    facts, library = told(run)
    version = module_version(driver.read_text()) if driver.exists() else None
    return health.examine(facts, run(LOG, TIMEOUT)[1], version, library)


def products(run: Run, command: Sequence[str], seconds: float) -> Iterator[Reason]:
    """Let each card multiply matrices; yield what is wrong with the results.

    The command prints one line of JSON, a list with `name`, `right`, `teraflops` and `least` of each card.
    """
    status, output = run(command, seconds)
    try:
        results = json.loads(output.splitlines()[-1]) if status == 0 else None
    except (IndexError, ValueError):
        results = None
    if not isinstance(results, list):
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        yield Reason(f"no matrix could be multiplied, status {status}: {last[0]}", _WRONG)
        return
    if not results:
        yield Reason("PyTorch sees no card", _WRONG)
    for result in results:
        if not result["right"]:
            yield Reason(f"{result['name']} multiplies matrices wrongly", _WRONG)
        elif result["teraflops"] < result["least"]:
            speed = f"{result['teraflops']:.1f} TFLOPS, and {result['least']:.1f} is the least"
            yield Reason(f"{result['name']} is too slow: {speed}", _WRONG)


# ---- What is told -----------------------------------------------------------------------------------------------

MIB = 2**20
# What nvidia-smi is asked for, and the gauge that it becomes: name, help, and by how much the number is multiplied.
ASKED: Mapping[str, tuple[str, str, int]] = {
    "memory.total": ("memory_total_bytes", "Memory of the card.", MIB),
    "memory.used": ("memory_used_bytes", "Memory in use.", MIB),
    "utilization.gpu": ("busy_percent", "Share of the last moments in which it computed.", 1),
    "temperature.gpu": ("temperature_celsius", "Temperature.", 1),
    "power.draw": ("power_watts", "Power that it draws.", 1),
}
GAUGES = ("nvidia-smi", f"--query-gpu=pci.bus_id,name,{','.join(ASKED)}", "--format=csv,noheader,nounits")


def metrics(table: str, healthy: bool) -> str:
    """Write Prometheus' text format, of a table as `GAUGES` prints it; what a card does not tell is left out."""
    rows = [row for line in table.splitlines() if len(row := line.split(", ")) == 2 + len(ASKED)]
    lines = _gauge("healthy", "Whether the host may serve.", [f" {int(healthy)}"])
    for column, (name, words, times) in enumerate(ASKED.values(), 2):
        told = [(row, value) for row in rows if (value := _number(row[column])) is not None]
        lines += _gauge(
            name, words, [f'{{slot="{row[0]}",name="{row[1]}"}} {value * times:.15g}' for row, value in told]
        )
    return "\n".join(lines) + "\n"


def _gauge(name: str, words: str, samples: Sequence[str]) -> list[str]:
    full = f"parrotpark_gpu_{name}"
    return [f"# HELP {full} {words}", f"# TYPE {full} gauge", *(full + sample for sample in samples)] if samples else []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # [N/A], or what else it says of a card that does not tell


def reasons_now(run: Run, result: Path = RESULT, driver: Path = DRIVER) -> list[str] | None:
    """List why the host may not serve: what the check found when it started, and what can be seen now.

    None until the check has ended: a host that boots still brings its cards up.
    """
    if not result.exists():
        return None
    found = json.loads(result.read_text())["reasons"]
    return list(dict.fromkeys([*found, *map(str, examine(run, driver).reasons)]))


def handler(run: Run, result: Path = RESULT, driver: Path = DRIVER) -> type[BaseHTTPRequestHandler]:
    """Make the class that answers requests."""

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT

        def do_GET(self) -> None:
            if self.path == "/health":
                reasons = reasons_now(run, result, driver)
                verdict = {"checked": reasons is not None, "reasons": reasons or []}
                self._answer(200 if reasons == [] else 503, "application/json", json.dumps(verdict))
            elif self.path == "/metrics":
                status, table = run(GAUGES, TIMEOUT)
                text = metrics(table if status == 0 else "", healthy=reasons_now(run, result, driver) == [])
                self._answer(200, "text/plain; version=0.0.4", text)
            else:
                self._answer(404, "text/plain", "there are /health and /metrics\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    return Handler


# ---- The command ------------------------------------------------------------------------------------------------


def check(run: Run, product: Sequence[str], seconds: float, result: Path = RESULT, driver: Path = DRIVER) -> int:
    """Judge the host, keep the verdict, and return the exit status; a host that looks ill multiplies no matrix."""
    found = examine(run, driver)
    reasons = [*found.reasons, *(products(run, product, seconds) if product and found.healthy else ())]
    verdict = {"reasons": [str(reason) for reason in reasons], "notes": [str(note) for note in found.notes]}
    write_file(result, f"{json.dumps(verdict)}\n".encode(), 0o644)
    for reason in verdict["reasons"]:
        print(f"this host may not serve: {reason}", file=sys.stderr)
    for note in verdict["notes"]:
        print(note, file=sys.stderr)
    return 1 if reasons else 0


def facts(run: Run) -> dict[str, Any]:
    """Tell of the cards; of a host without any, why."""
    found, _ = told(run)
    return {"error": str(found)} if isinstance(found, NvidiaSmiError) else asdict(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 1 means that the host may not serve."""
    parser = argparse.ArgumentParser(prog="parrotpark-gpu", description="Check whether this host's cards may serve.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="say why this host may not serve")
    checking.add_argument("--seconds", type=float, default=240, help="what the matrix product may take")
    checking.add_argument("product", nargs="*", help="command that multiplies matrices on each card")
    serving = commands.add_parser("serve", help="answer /health and /metrics")
    serving.add_argument("address")
    serving.add_argument("port", type=int)
    commands.add_parser("facts", help="print what the cards are, as JSON")
    options = parser.parse_args(arguments)
    if options.command == "check":
        return check(run_program, options.product, options.seconds)
    if options.command == "serve":
        HTTPServer((options.address, options.port), handler(run_program)).serve_forever()
    print(json.dumps(facts(run_program)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
