"""How long a wake takes, side by side with a start by hand: `python -m tests.bench.wake [ROUNDS]`.

Needs the running stack of `make up`. Every round measures both in turn, so that a noisy machine is noisy for both:

- wake: `parrotpark sleep`, then `parrotpark wake` on the entry server, until the models answer at the stable endpoint;
- bare: a server from the same image that nobody told anything, from the API call until it lets us in, and then the same
  two `vllm serve` alone, on the same warm caches, until they answer.

At last a wake from scratch: `make wake` where there is no image, which bakes one first.

Writes docs/benchmarks/wake.md and wake.svg.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from localcloud.paths import INVENTORY_STATE
from parrotpark.control.secrets.keys import SshAlgorithm
from parrotpark.control.secrets.ssh_folder import KNOWN_HOSTS, known_hosts
from parrotpark.control.ssh import connection
from parrotpark.shared.cloud_config import cloud_config
from parrotpark.shared.lease import FINGERPRINT, GPU, Lease, State
from tests.machines import client as client_of
from tests.machines import settle

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/benchmarks"
KEY_FILE = "/etc/parrotpark/credentials/vllm_api_key"
PORTS = {"generate": 8001, "embed": 8002}
ENTRY, BENCH = "entry-server", "bench"
KEYS = Path(tempfile.mkdtemp(prefix="parrotpark-bench-"))  # a copy of Ansible's, to which the bare server's is added
WARM = "systemctl start parrotpark-models.target"


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds that the parts of one round took."""

    create: float  # until the cloud says that the server runs
    join: float  # from then until the host has stepped into its slot
    models: float  # from then until `parrotpark wake` has seen the models answer at the stable endpoint
    bare_boot: float  # until a server lets us in
    bare_models: float  # from the start of both models until both are healthy

    @property
    def wake(self) -> float:
        return self.create + self.join + self.models

    @property
    def bare(self) -> float:
        return self.bare_boot + self.bare_models


def ssh(host: str, address: str, command: str, jump: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as root on a host that is known by name, as Ansible reaches it."""
    way = connection(host, address, KEYS, (ENTRY, jump) if jump else None)
    options = ["-i", way["ansible_ssh_private_key_file"], *shlex.split(way["ansible_ssh_common_args"])]
    return subprocess.run(
        ["ssh", *options, "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", f"{way['ansible_user']}@{address}", command],
        check=False,
        capture_output=True,
        text=True,
    )


def must(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed; end where it failed."""
    if done.returncode != 0:
        sys.exit(f"{done.args[-1]}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def address(server: BoundServer) -> str:
    return str(server.public_net.ipv4.ip)  # type: ignore[union-attr]


def wake(client: Client, entry: str) -> tuple[float, float, float]:
    """Wake from sleep, as a person does; return the seconds of its parts."""
    must(ssh(ENTRY, entry, "parrotpark sleep"))
    begin = time.time()
    must(ssh(ENTRY, entry, "parrotpark wake"))
    whole = time.time() - begin
    history = must(ssh(ENTRY, entry, "cat /var/lib/parrotpark/history.jsonl")).splitlines()
    create = next(entry["seconds"] for entry in map(json.loads, reversed(history)) if entry["step"] == "create")
    server = client.servers.get_by_name("gpu-1")
    assert server
    show = "systemctl show --value --property=ExecMainExitTimestamp --timestamp=us+utc parrotpark-join"
    joined = must(ssh("gpu-1", address(server), f'date +%s.%N -d "$({show})"', jump=entry))
    join = float(joined) - begin - create
    return create, join, whole - create - join


def bare(client: Client, entry: str) -> tuple[float, float]:
    """Boot a server from the image, and start the models on it by hand; return the seconds of both."""
    must(ssh(ENTRY, entry, "parrotpark sleep"))
    private = SshAlgorithm().private()
    known = known_hosts((KEYS / KNOWN_HOSTS).read_text(), {BENCH: SshAlgorithm().public(private)})
    (KEYS / KNOWN_HOSTS).write_text(known)
    image = client.images.get_all(type=["snapshot"], label_selector="parrotpark-role=gpu-image")[0]
    fingerprint = (image.labels or {})[FINGERPRINT]
    lease = Lease(GPU, BENCH, State.BAKING, BENCH, fingerprint, int(time.time()) + 3600)
    begin = time.time()
    answer = client.servers.create(
        name=BENCH,
        server_type=ServerType(name="ccx33"),
        location=Location(name="fsn1"),
        image=Image(id=image.id),
        ssh_keys=[*client.ssh_keys.get_all()],
        user_data=cloud_config(private),
        labels=lease.labels(),
    )
    try:
        settle(answer.action, *answer.next_actions)
        # The host's own firewall, baked in, lets only the entry server in.
        while ssh(BENCH, address(answer.server), "true", jump=entry).returncode != 0:
            time.sleep(0.1)
        boot = time.time() - begin
        healthy = " && ".join(f"curl -sf http://127.0.0.1:{port}/health" for port in PORTS.values())
        models = must(
            ssh(
                BENCH,
                address(answer.server),
                f"umask 077; echo bench >{KEY_FILE}; begin=$(date +%s.%N); {WARM};"
                f"until {healthy}; do sleep 0.2; done; date +%s.%N; echo $begin",
                jump=entry,
            )
        ).split()
        return boot, float(models[0]) - float(models[1])
    finally:
        answer.server.delete().wait_until_finished()


def from_scratch(client: Client, entry: str) -> tuple[float, list[tuple[str, float]]]:
    """Wake where there is no image; return the seconds of all, and of the tasks that took longest."""
    must(ssh(ENTRY, entry, "parrotpark sleep"))
    for image in client.images.get_all(type=["snapshot"], label_selector="parrotpark-role=gpu-image"):
        image.delete()
    begin = time.time()
    output = must(subprocess.run(["make", "wake", "VERBOSE=1"], check=False, capture_output=True, text=True))
    whole = time.time() - begin
    tasks = re.findall(r"^(\S.*?) -+ ([\d.]+)s$", output, re.MULTILINE)
    return whole, [(name, float(seconds)) for name, seconds in tasks]


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    names = [*Round.__dataclass_fields__, "wake", "bare"]
    return {name: statistics.median(getattr(each, name) for each in rounds) for name in names}


def page(rounds: Sequence[Round], scratch: float, tasks: Sequence[tuple[str, float]]) -> str:
    """Write the tables: every round, the medians and the ratio; then the wake from scratch."""
    middle = medians(rounds)
    ratio = statistics.median(each.wake / each.bare for each in rounds)
    titles = "| | server runs | joined | models answer | **wake** | boot | models alone | **bare** | ratio |"
    rows = [
        f"| {number} | {each.create:.1f} | {each.join:.1f} | {each.models:.1f} | {each.wake:.1f} "
        f"| {each.bare_boot:.1f} | {each.bare_models:.1f} | {each.bare:.1f} | {each.wake / each.bare:.2f} |"
        for number, each in enumerate(rounds, 1)
    ]
    last = (
        f"| median | {middle['create']:.1f} | {middle['join']:.1f} | {middle['models']:.1f} | **{middle['wake']:.1f}** "
        f"| {middle['bare_boot']:.1f} | {middle['bare_models']:.1f} | **{middle['bare']:.1f}** | **{ratio:.2f}** |"
    )
    longest = [f"| {name} | {seconds:.1f} |" for name, seconds in tasks[:8]]
    text = f"{SCRATCH} {scratch:.0f} s, {scratch / middle['wake']:.1f} times a wake from the image.\n"
    return "\n".join(
        [
            INTRODUCTION,
            titles,
            "|---" * 9 + "|",
            *rows,
            last,
            "",
            text,
            "| longest tasks | s |",
            "|---|---|",
            *longest,
            "",
        ]
    )


def picture(middle: dict[str, float]) -> str:
    """Draw both medians as bars of their parts."""
    bars = {
        "wake": [("server runs", "create"), ("joined", "join"), ("models answer", "models")],
        "bare limit": [("boot", "bare_boot"), ("models alone", "bare_models")],
    }
    scale = 600 / max(middle["wake"], middle["bare"])
    colours = ["#4c78a8", "#f58518", "#54a24b"]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="130" font-family="sans-serif" font-size="13">'
    ]
    for row, (title, pieces) in enumerate(bars.items()):
        x, y = 90.0, 15 + row * 55
        parts.append(f'<text x="5" y="{y + 20}" font-size="13">{title}</text>')
        for colour, (text, name) in zip(colours, pieces, strict=False):
            width = middle[name] * scale
            parts.append(f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="30" fill="{colour}"/>')
            parts.append(f'<text x="{x + 3:.0f}" y="{y + 44}" font-size="11">{text} {middle[name]:.1f} s</text>')
            x += max(width, 1)
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Measure, and write the page."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    client = client_of("gpu")
    shutil.copytree(INVENTORY_STATE / "ssh", KEYS, dirs_exist_ok=True)
    entry = json.loads(subprocess.check_output(["ansible-inventory", "--host", ENTRY]))["ansible_host"]
    rounds = []
    for number in range(1, count + 1):
        rounds.append(Round(*wake(client, entry), *bare(client, entry)))
        print(f"round {number}: wake {rounds[-1].wake:.1f} s, bare {rounds[-1].bare:.1f} s", flush=True)
    scratch, tasks = from_scratch(client, entry)
    print(f"from scratch: {scratch:.0f} s", flush=True)
    PAGES.mkdir(exist_ok=True)
    (PAGES / "wake.md").write_text(page(rounds, scratch, tasks))
    (PAGES / "wake.svg").write_text(picture(medians(rounds)))
    print(PAGES / "wake.md")


INTRODUCTION = """# How long a wake takes

Written by `make bench`. Seconds, on one machine in one run, both measured in turn in every round; models are those of
the local default, on processors. *Wake* is `parrotpark wake` on the entry server, from sleep to models that answer at
the stable endpoint. *Bare* is the same by hand: a server from the same image until it lets us in, and then the same two
`vllm serve` alone on the same warm caches. Models start no faster for the one than for the other, so a ratio below 1 is
what the machine's noise amounts to.

![Both medians as bars](wake.svg)
"""

SCRATCH = "Once, in the same run, `make wake` where there was no image, which bakes one first:"

if __name__ == "__main__":
    main()
