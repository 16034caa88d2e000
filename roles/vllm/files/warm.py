"""Start every model once with a key that nobody knows, so that bytecode and compiled kernels are there ever after.

`warm.py KEY_FILE SECONDS MARK NAME:PORT:RUNNER...` asks each something, stops the models again, takes the key away and
makes MARK.
"""

import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from http import HTTPStatus
from pathlib import Path

HOPELESS = 3  # restarts, after which waiting on is of no use
# What compiles only when it is first asked for, is asked for.
QUESTIONS = {
    "generate": ("/v1/completions", {"prompt": "a", "max_tokens": 2, "logprobs": 2, "temperature": 1, "top_p": 0.9}),
    "pooling": ("/v1/embeddings", {"input": "a"}),
}


def answers(port: str) -> bool:
    """Tell whether the model on this port is healthy."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def restarts(name: str) -> int:
    """Tell how often systemd had to start the model again."""
    show = ["systemctl", "show", "--property=NRestarts", "--value", f"vllm@{name}.service"]
    return int(subprocess.run(show, check=True, capture_output=True, text=True).stdout)


def ask(port: str, runner: str, key: str, seconds: int) -> None:
    """Have the model work once; one that embeds nothing may say so."""
    path, question = QUESTIONS[runner]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=seconds)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(question), headers)
        if (status := connection.getresponse().status) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            sys.exit(f"the model on port {port} answers {status}")


def main() -> None:
    """Warm the models, or say which one did not start."""
    file, seconds, mark, *arguments = sys.argv[1:]
    models = [argument.split(":") for argument in arguments]
    units = [f"vllm@{name}.service" for name, _, _ in models]
    key = secrets.token_urlsafe()
    Path(file).touch(mode=0o600)
    try:
        Path(file).write_text(key)
        subprocess.run(["systemctl", "start", *units], check=True)
        deadline = time.monotonic() + int(seconds) * len(models)  # one may start after the other
        while silent := [name for name, port, _ in models if not answers(port)]:
            if time.monotonic() > deadline or restarts(silent[0]) >= HOPELESS:
                journal = ["journalctl", "--lines=60", "--no-pager", "--output=cat", f"--unit=vllm@{silent[0]}"]
                subprocess.run(journal, check=True)
                sys.exit(f"vllm@{silent[0]} does not start")
            time.sleep(1)
        for _, port, runner in models:
            ask(port, runner, key, int(seconds))
    finally:
        subprocess.run(["systemctl", "stop", *units], check=True)
        Path(file).unlink()
    Path(mark).touch()


if __name__ == "__main__":
    main()
