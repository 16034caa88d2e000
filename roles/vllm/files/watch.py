"""Runs a model's server, and has systemd kill and restart it when it hangs.

Usage: watch.py CONFIG SECONDS COMMAND...  CONFIG is the server's own, SECONDS is what a start may take.

A server says that it is healthy while its engine computes nothing. So every few seconds the model is asked for next to
nothing. No answer alone is no proof, as others may be waiting, too: it hangs where, by the server's own counters, its
engine has got nothing done either.

Where WATCH_TURN names a file, servers start one after the other: vLLM measures what is left of a card while it starts,
and takes what another one is just loading for its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

import yaml

# All in seconds.
PERIOD = 10  # between two looks at a model that answers
DEADLINE = 10  # for the model's answer
HEALTH_DEADLINE = 5  # for what the server says of itself
DEAF = 20  # a server that answers nothing at all for longer hangs
STUCK = 45  # so does an engine that gets nothing done for longer; what a request compiles takes less

# What every kind of model is asked; a server refuses at once what is not its model's.
QUESTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("/v1/completions", {"prompt": "Hello", "max_tokens": 1}),
    ("/v1/embeddings", {"input": "Hello"}),
    ("/v1/rerank", {"query": "Hello", "documents": ["Hello"]}),
)
# What changes only when the engine works.
COUNTERS = re.compile(
    "^vllm:(?:prompt_tokens_total|generation_tokens_total|iteration_tokens_total_count|request_success_total"
    "|kv_cache_usage_perc|num_requests_running)[{ ].*$",
    re.MULTILINE,
)
REFUSED = {400, 401, 404, 405, 422}
GONE = 503  # what /health says when the engine has ended


@dataclass(frozen=True)
class Look:
    """What one look at the server has shown."""

    answered: bool = False  # by the model
    heard: bool = False  # from the server, whatever it said
    gone: bool = False  # the engine is, by the server's own word
    counters: str | None = None  # None where they cannot be read


class Judge:
    """Decides when it hangs; everything is in seconds of one clock."""

    def __init__(self, now: float, start: float) -> None:
        self._begin = self._heard = self._moved = now
        self._start = start
        self.serves = False
        self._counters: str | None = None

    def objection(self, look: Look, now: float) -> str | None:
        """Say why the server has to be restarted; None where it has not."""
        moved = look.answered
        if look.counters is not None:
            moved = moved or self._counters not in (None, look.counters)
            self._counters = look.counters
        if look.heard:
            self._heard = now
        if moved:
            self._moved = now
            self.serves = True
        if not self.serves:
            return f"it did not start within {self._start:.0f} s" if now - self._begin > self._start else None
        if look.gone:
            return "its engine has ended"
        if now - self._heard > DEAF:
            return f"it has answered nothing for {now - self._heard:.0f} s"
        if now - self._moved > STUCK:
            return f"its engine has got nothing done for {now - self._moved:.0f} s"
        return None


class Server:
    """The server as its clients reach it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        self._questions = deque(QUESTIONS)
        self._can_be_asked = True
        # No proxy: it is on this host.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def look(self) -> Look:
        """Ask the model, and where it does not answer, how the server is."""
        status = self._ask_model()
        if status == 200:
            return Look(answered=True, heard=True)
        if status in REFUSED:
            if self._can_be_asked:
                say(f"{self._url} cannot be asked ({status}): it is not watched")
            self._can_be_asked = False
            return Look(answered=True, heard=True)
        health, _ = self._ask("/health")
        if health is None:
            return Look(heard=status is not None)
        read, text = self._ask("/metrics")
        counters = "\n".join(COUNTERS.findall(text)) if read == 200 else None
        return Look(heard=True, gone=health == GONE, counters=counters)

    def _ask_model(self) -> int | None:
        """Ask the question that was answered last, or else the first that is not refused."""
        status = None
        for _ in QUESTIONS:
            path, question = self._questions[0]
            status, _ = self._ask(path, question)
            if status not in REFUSED:
                break
            self._questions.rotate(-1)
        return status

    def _ask(self, path: str, question: dict[str, object] | None = None) -> tuple[int | None, str]:
        """Return status and text; None for no answer in time."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = json.dumps(question).encode() if question else None
        request = urllib.request.Request(f"{self._url}{path}", data, headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=DEADLINE if question else HEALTH_DEADLINE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except (OSError, HTTPException):
            return None, ""


def take_turn(file: Path) -> IO[str]:
    """Wait until no other server starts; closing what is returned lets the next one."""
    turn = file.open("a")
    while True:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return turn
        except BlockingIOError:
            notify("WATCHDOG=1")
            time.sleep(1)


def watch(server: Server, start: float, turn: IO[str] | None) -> None:
    """Look again and again; tell systemd that all is well, or that it is not."""
    judge = Judge(time.monotonic(), start)
    while True:
        look = server.look()
        objection = judge.objection(look, time.monotonic())
        if turn and judge.serves:
            turn.close()
        if objection:
            say(f"restarting the model: {objection}")
            notify("WATCHDOG=trigger")
            return
        notify("WATCHDOG=1")
        # Where something is amiss, the look took its time already; a server that starts refuses at once.
        time.sleep(PERIOD if look.answered else 1)


def notify(text: str) -> None:
    """Tell systemd."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        line.send(text.encode())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def url_of(config: dict[str, object]) -> str:
    """Return where the server listens, as seen from this host."""
    host = str(config["host"]).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    return f"http://{host}:{config['port']}"


def main() -> int:
    """Run the server until it ends, whoever ends it."""
    config, start, *command = sys.argv[1:]
    key = Path(os.environ["CREDENTIALS_DIRECTORY"], "api_key").read_text().strip()
    server = Server(url_of(yaml.safe_load(Path(config).read_text())), key)
    turn = take_turn(Path(os.environ["WATCH_TURN"])) if "WATCH_TURN" in os.environ else None
    # The key travels in the environment: everybody on the host may read a command line.
    ours = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    served = subprocess.Popen(command, env={**environment, "VLLM_API_KEY": key})
    threading.Thread(target=watch, args=(server, float(start), turn), daemon=True).start()
    status = served.wait()
    say(f"the model's server has ended with status {status}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
