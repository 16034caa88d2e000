"""A wish as a transient systemd unit on the entry server: what to run there, and how to read its output."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from parrotpark.shared.wish import Wish

FOLDER = "/run/parrotpark"
ALIVE = ("active", "activating", "deactivating")  # words of `systemctl is-active` for a unit that may still write
FOLLOWED = "followed"
EXIT = re.compile(r"exit (\d+)")  # the last line, which our script adds
PROGRESS = re.compile(r" *\d+ s  ")  # parrotpark.shared.progress


class NotFulfilled(Exception):
    """The program did not fulfil the wish; the message is what it said about that."""


@dataclass(frozen=True, slots=True)
class WishUnit:
    """The shell scripts around one wish. Each wish has its own unit name, so systemd runs it once at a time."""

    program: str
    wish: Wish

    @property
    def name(self) -> str:
        return "parrotpark-wish-" + self.wish.render().replace(" ", "-")

    @property
    def log(self) -> str:
        return f"{FOLDER}/{self.name}.log"

    def plan(self) -> str:
        """Only ask what would happen; writes an `Output`."""
        return f'{shlex.join([*self._command(), "--check"])} 2>&1; echo "exit $?"\n'

    def start(self) -> str:
        """Start the unit, or write `followed` if it is under way."""
        # With the type exec, the log is empty before systemd-run returns: nobody reads the previous run's.
        run = ["systemd-run", "--quiet", "--collect", f"--unit={self.name}", "--service-type=exec"]
        run += [f"--property=StandardOutput=truncate:{self.log}", "--property=StandardError=inherit"]
        run += ["--expand-environment=no", "--", "/bin/sh", "-c", '"$@"; s=$?; echo "exit $s"; exit "$s"', "sh"]
        alive = f"case $(systemctl is-active {self.name}) in {'|'.join(ALIVE)}) echo {FOLLOWED};; *) false;; esac"
        return (
            f"exec 2>&1\nfollowed() {{ {alive}; }}\nfollowed && exit\nmkdir -p -m 0755 {FOLDER}\n"
            # Looks again after a failure: another controller may have been quicker.
            f"{shlex.join([*run, *self._command()])} || followed\n"
        )

    def poll(self) -> str:
        """Write the unit's state, then its output so far: so the output of a unit that has ended is complete."""
        return f'state=$(systemctl is-active {self.name})\ntest -n "$state" && echo "$state" && cat {self.log}\n'

    def _command(self) -> list[str]:
        hosts = self.wish.hosts
        return [self.program, *(["sleep"] if hosts == 0 else ["wake", *([str(hosts)] if hosts else [])]), "--json"]


@dataclass(frozen=True, slots=True)
class Output:
    """The complete lines that the program has written so far, to stdout and stderr."""

    lines: Sequence[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take the complete lines: what follows the last line end is still being written."""
        return cls(text.split("\n")[:-1])

    @property
    def status(self) -> int | None:
        """The program's exit status; None while it runs."""
        last = EXIT.fullmatch(self.lines[-1]) if self.lines else None
        return int(last[1]) if last else None

    @property
    def progress(self) -> list[str]:
        """The lines for people who are waiting."""
        return [line for line in self.lines if PROGRESS.match(line)]

    def report(self) -> tuple[bool, list[str]]:
        """Return whether something changed, and the actions.

        Raises:
            NotFulfilled: the program failed, or was killed.
        """
        reports = [line for line in self.lines if line.startswith("{")]
        if self.status == 0 and reports:
            report = json.loads(reports[-1])
            return report["changed"], report["actions"]
        if self.status is None:
            raise NotFulfilled("the program was killed before it was done: run this again")
        others = [line for line in self.lines[:-1] if line and not PROGRESS.match(line)]
        said = [line for line in others if line.startswith("parrotpark: ")] or others[-1:]
        raise NotFulfilled("\n".join(said) or f"the program ended with exit status {self.status} and said nothing")


def parse_poll(text: str) -> tuple[bool, Output]:
    """Return whether the unit is still running, and its output so far."""
    state, _, output = text.partition("\n")
    return state in ALIVE, Output.parse(output)
