"""Start every model once with a key that nobody knows, so that bytecode and compiled kernels are there ever after.

`warm.py KEY_FILE SECONDS MARK NAME:PORT...` stops the models again, takes the key away and makes MARK.
"""

import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def answers(port: str) -> bool:
    """Tell whether the model on this port is healthy."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def main() -> None:
    """Warm the models, or say which one did not start."""
    key, seconds, mark, *models = sys.argv[1:]
    ports = dict(model.rsplit(":", 1) for model in models)
    units = [f"vllm@{name}.service" for name in ports]
    Path(key).touch(mode=0o600)
    try:
        Path(key).write_text(secrets.token_urlsafe())
        subprocess.run(["systemctl", "start", *units], check=True)
        deadline = time.monotonic() + int(seconds)
        while silent := [name for name, port in ports.items() if not answers(port)]:
            if time.monotonic() > deadline:
                journal = ["journalctl", "--lines=60", "--no-pager", "--output=cat", f"--unit=vllm@{silent[0]}"]
                subprocess.run(journal, check=True)
                sys.exit(f"vllm@{silent[0]} does not answer within {seconds} s")
            time.sleep(1)
    finally:
        subprocess.run(["systemctl", "stop", *units], check=True)
        Path(key).unlink()
    Path(mark).touch()


if __name__ == "__main__":
    main()
