"""`make up`: from nothing to a chat that answers, with the time each step took."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.demo.meter import Meter, Reading
from localcloud.paths import ARTIFACTS, STATE
from parrotpark.control import verify
from parrotpark.control.models import ModelError, source

DEFAULT_MODEL = str(STATE / "models" / "SmolLM2-135M-Instruct")
CHAT_MODEL = ARTIFACTS / "chat-model"  # read by the inventory
STAND_INS = "localcloud.demo.stand_ins"
ENDPOINTS = Path("inventories/local/.state/endpoints.json")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the work: its title and the program that does it."""

    title: str
    command: Sequence[str]


def remember(model: str | None, file: Path = CHAT_MODEL) -> None:
    """Record which model answers, for this run and for later ones, until another one is named.

    Raises:
        ModelError: what is named is not a model.
    """
    if model is None and file.exists():
        return
    source(model or DEFAULT_MODEL)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{model or DEFAULT_MODEL}\n")


def steps() -> list[Step]:
    """What has to be done, in order."""
    python = [sys.executable, "-m"]
    return [
        Step("Local cloud", [*python, "localcloud", "start"]),
        Step("Models", [*python, f"{STAND_INS}.models", str(STATE / "models")]),
        Step("vLLM for processors", [*python, f"{STAND_INS}.vllm_cpu", str(ARTIFACTS)]),
        Step("Query engine", [*python, f"{STAND_INS}.query_engine", str(ARTIFACTS / "query-engine.tar.gz")]),
        Step("Chat image", [*python, f"{STAND_INS}.open_webui_image", str(ARTIFACTS)]),
        Step("S3 server", [*python, f"{STAND_INS}.versitygw", str(ARTIFACTS / "versitygw"), "chat"]),
        # Up means awake, whatever the wish was before.
        Step("site.yml", ["ansible-playbook", "site.yml", "--extra-vars", "wish_asked=awake"]),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run every step, check the result as a user would, and print what a user needs. Returns an exit status."""
    parser = argparse.ArgumentParser(prog="localcloud.demo.up", description=__doc__)
    parser.add_argument("--since", required=True, help="JSON that localcloud.demo.meter printed before the run began")
    parser.add_argument("--model", help="hub name with its commit, or folder, of the model that answers")
    options = parser.parse_args(argv)
    os.umask(0o022)  # images are made of what the steps make, and their users have to read it
    try:
        remember(options.model)
    except ModelError as error:
        print(f"MODEL: {error}")
        return 2
    since = Reading(**json.loads(options.since))
    times: list[tuple[str, float]] = [("Tools", time.time() - since.time)]
    with Meter(since) as meter:
        for step in steps():
            print(f"\n== {step.title}", flush=True)
            begin = time.monotonic()
            status = subprocess.run(step.command, check=False).returncode
            times.append((step.title, time.monotonic() - begin))
            if status != 0:
                print(f"\n{step.title} failed (exit {status}); fix what it says above and run make up again.")
                return status
        print("\n== Check as a user would", flush=True)
        begin = time.monotonic()
        endpoints = verify.load(ENDPOINTS)
        try:
            for line in verify.check(endpoints):
                print(f"  {line}", flush=True)
        except verify.CheckFailed as failure:
            print(f"\n{failure}")
            return 1
        times.append(("Check", time.monotonic() - begin))
        print_summary(endpoints, times, time.time() - since.time, meter.summary())
    return 0


def print_summary(endpoints: verify.Endpoints, times: Sequence[tuple[str, float]], total: float, cost: str) -> None:
    """Print where the time went and where to go next."""
    print("\n" + "".join(f"  {title:<20}{seconds:>7.0f} s\n" for title, seconds in times), end="")
    print(f"  {'Everything':<20}{total:>7.0f} s   {cost}\n")
    print(f"  Chat      {endpoints.chat}")
    invite = f"run make invite PERSON={endpoints.admin_email} GROUP=administrators: it shows a first password"
    print(f"  Sign in   {f'at {endpoints.issuer}' if endpoints.issuer else invite}")
    print(f"  API       {endpoints.api}\n  Keys, CA  {ENDPOINTS}\n")
    print("  From a laptop: ssh -L 8443:localhost:8443 root@this-machine, then open the same address there.")
    print(f"  The browser warns until it trusts the CA in {endpoints.ca}.")


if __name__ == "__main__":
    raise SystemExit(main())
