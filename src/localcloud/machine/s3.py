"""An S3 server on the bridge, as providers have one: versitygw, alone in a container, its data beside the other state.

It runs once the demo has built its program, and anew when that has changed. It speaks plain HTTP, as only this host and
its machines reach it. The key `admin` may do everything; others, which a provider's console would hand out, may do what
the policies of buckets say.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from localcloud import secret
from localcloud.core.backend import BackendError
from localcloud.machine import podman, roots
from localcloud.machine.listener import answers
from localcloud.paths import ARTIFACTS, GATEWAY, S3, S3_PORT, TOKENS

NAME = "s3"
PROGRAM = ARTIFACTS / "versitygw"
ADMIN = "admin"
REGION = "fsn1"
URL = f"http://{GATEWAY}:{S3_PORT}"
HEALTH = "/health"  # no bucket can have so short a name

START_SECONDS = 30.0


def runs() -> bool:
    """Tell whether the server runs as it should; where there is no program, it should not."""
    if not PROGRAM.exists():
        return True
    if not podman.alive(NAME):
        return False
    return (_root() / PROGRAM.name).samefile(PROGRAM) and _environment().read_text() == environment()


def start() -> None:
    """Start the newest program; what is in the buckets is kept."""
    podman.remove(NAME)
    roots.delete(NAME)
    # It needs nothing but itself. The link is not to the name: another build is another file.
    _root().mkdir(parents=True)
    os.link(PROGRAM, _root() / PROGRAM.name)
    for folder in ("buckets", "versions", "keys"):
        (S3 / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    _environment().touch(mode=0o600)
    _environment().write_text(environment())
    podman.run_detached(
        NAME,
        "--network=host",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--env-file={_environment()}",
        f"--volume={S3}:/s3",
        "--rootfs",
        str(_root()),
        f"/{PROGRAM.name}",
        "posix",
        "/s3/buckets",
    )


def environment() -> str:
    """Render what the server is told."""
    told = {
        "ROOT_ACCESS_KEY_ID": ADMIN,
        "ROOT_SECRET_ACCESS_KEY": secret.keep(_secret_file(ADMIN)),
        "VGW_PORT": f"{GATEWAY}:{S3_PORT}",
        "VGW_REGION": REGION,
        "VGW_IAM_DIR": "/s3/keys",
        "VGW_VERSIONING_DIR": "/s3/versions",
        "VGW_HEALTH": HEALTH,
        "VGW_QUIET": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in told.items())


def make_key(name: str) -> Path:
    """Make an access key unless there is one of that name; return the file that keeps its secret."""
    accounts = S3 / "keys" / "users.json"  # the server's own list, which it reads at every call
    known = json.loads(accounts.read_text())["accessAccounts"] if accounts.exists() else {}
    known[name] = {"access": name, "secret": secret.keep(_secret_file(name)), "role": "user"}
    secret.write(accounts, json.dumps({"accessAccounts": known}))
    return _secret_file(name)


def wait() -> None:
    """Wait until the server, which the supervisor starts, answers.

    Raises:
        BackendError: it does not.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"{URL}{HEALTH}"):
        if time.monotonic() > deadline:
            raise BackendError(f"the S3 server does not answer at {URL}; `python -m localcloud logs` says why")
        time.sleep(0.1)


def _secret_file(name: str) -> Path:
    return TOKENS / f"s3-{name}"


def _root() -> Path:
    return roots.directory(NAME) / "root"


def _environment() -> Path:
    return roots.directory(NAME) / "environment"
