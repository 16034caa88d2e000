"""Running the host's programs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from localcloud.core.backend import BackendError


def run(*argv: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        BackendError: the program is missing or failed; the message contains its first error.
    """
    name = Path(argv[0]).name
    try:
        done = subprocess.run(argv, input=stdin, env=env, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise BackendError(f"{name} is not installed: run make doctor") from error
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit status {done.returncode}"]
        said = next((line for line in lines if line.lower().startswith(("e:", "error"))), lines[-1])
        raise BackendError(f"{name} failed: {said}")
    return done.stdout


def succeeds(*argv: str | Path) -> bool:
    """Tell whether a program that only asks a question says yes."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
