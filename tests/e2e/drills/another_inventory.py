"""The stack under another inventory than its own, by the verbs of the control machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]


def run(*command: str) -> str:
    """Run a command that must succeed, where `make` finds its targets; returns what it printed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def local_cloud(*arguments: str) -> None:
    """Tell the local cloud something."""
    run(sys.executable, "-m", "localcloud", *arguments)


@contextmanager
def with_cloud(stack: str, folder: Path, cloud: Mapping[str, Any], **inputs: Any) -> Iterator[str]:
    """Give the argument of `make` that names the stack's inventory with one more cloud and other inputs.

    In the end, the stack is as it was, asleep.
    """
    copy = folder / "inventory"
    shutil.copytree(stack, copy)
    file = copy / "group_vars/all.yml"
    values: dict[str, Any] = yaml.safe_load(file.read_text())
    values["parrotpark_clouds"].append(dict(cloud))
    file.write_text(yaml.safe_dump(values | inputs))
    yield f"INVENTORY={copy}"
    run("make", "sleep", f"INVENTORY={copy}")
    run("make", "site", f"INVENTORY={stack}")
