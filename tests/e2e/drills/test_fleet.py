"""Several GPU hosts, two controllers, hosts that die, clouds that refuse: on real machines, beside the running chat."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from hcloud import Client
from hcloud.images import Image
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from testinfra.host import Host

from localcloud import paths
from tests.e2e.drills.another_inventory import local_cloud
from tests.machines import client as client_of
from tests.machines import settle

GENERATED = re.compile(r"^vllm:generation_tokens_total\{.*\} (\S+)$", re.MULTILINE)
RUNNING = re.compile(r"^vllm:num_requests_running\{.*\} (\S+)$", re.MULTILINE)
SHORT = {"lease_seconds": 180, "ready_seconds": 170}  # so that a host that nobody renews ends while we wait


@pytest.fixture(scope="module")
def project() -> Client:
    """The GPU hosts' cloud project."""
    return client_of("gpu")


@pytest.fixture(autouse=True, scope="module")
def awake_again(entry: Host) -> Iterator[None]:
    """Leave the stack as `make up` did."""
    yield
    entry.check_output("systemctl start parrotpark-keep.timer && parrotpark wake")


def servers(project: Client) -> dict[str, BoundServer]:
    found = project.servers.get_all()
    assert len({server.name for server in found}) == len(found)
    return {str(server.name): server for server in found}


@contextmanager
def configured(entry: Host, **changes: Any) -> Iterator[str]:
    """Give the path of the scheduler's configuration with some values changed."""
    values = json.loads(entry.check_output("cat /etc/parrotpark/fleet.json")) | changes
    path = entry.check_output("mktemp")
    entry.check_output("printf %%s %s >%s", json.dumps(values), path)
    try:
        yield path
    finally:
        entry.check_output("rm %s", path)


def metric(entry: Host, slot: int, pattern: re.Pattern[str]) -> float:
    key = json.loads(entry.check_output("cat /etc/parrotpark/slots.json"))[0]["credentials"]["vllm_api_key"]
    url = f"http://10.78.0.{10 + slot}:8001/metrics"
    return float(pattern.findall(entry.check_output("curl -sf --oauth2-bearer %s %s", key, url))[0])


def contents(top: Path) -> dict[str, bytes]:
    """Read what a machine has written upon its image, apart from what every boot writes anew."""
    volatile = ("var/", "root/", "tmp/", "run/")
    found = {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file() and not path.is_symlink()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(volatile)}


@pytest.fixture
def ask(client: openai.OpenAI, generate_model: str) -> Callable[[int], str]:
    """Asks a question that takes so many tokens to answer."""

    def ask(tokens: int) -> str:
        answer = client.with_options(max_retries=0).chat.completions.create(
            model=generate_model,
            messages=[{"role": "user", "content": "Tell a long story about a parrot."}],
            max_tokens=tokens,
        )
        return answer.choices[0].message.content or ""

    return ask


def test_two_wakes_at_once_make_one_server(entry: Host, project: Client) -> None:
    entry.check_output("parrotpark sleep")
    assert servers(project) == {}
    # Another controller has a lock of its own: only the cloud stands between the two.
    with configured(entry, maker="another", leases_dir="/run/another/leases", state_dir="/run/another") as other:
        both = entry.run(f"parrotpark wake --config {other} & parrotpark wake; one=$?; wait $!; exit $((one + $?))")
    assert both.succeeded, both.stderr
    assert list(servers(project)) == ["gpu-1"]


def test_site_changes_nothing_and_wakes_nothing_while_the_wish_is_asleep(entry: Host, project: Client) -> None:
    entry.check_output("parrotpark sleep")
    for target in ("site", "plan"):
        run = subprocess.run(["make", target, "VERBOSE=1"], check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}
        assert "asleep; image current" in run.stdout
    assert servers(project) == {}


def test_a_wake_that_is_killed_is_finished_by_the_timer(entry: Host, project: Client) -> None:
    entry.check_output("parrotpark sleep")
    entry.check_output(
        "parrotpark wake >/dev/null 2>&1 & wake=$!;"
        "until parrotpark status | grep -q waking; do kill -0 $wake || exit 1; sleep 0.2; done; kill -KILL $wake"
    )
    deadline = time.monotonic() + 240
    while "gpu-1: serving, its models answer" not in entry.check_output("parrotpark status"):
        assert time.monotonic() < deadline
        time.sleep(2)
    assert list(servers(project)) == ["gpu-1"]


def test_a_sweep_deletes_what_has_no_lease_and_only_there(entry: Host, project: Client) -> None:
    addresses = {address.id for address in project.primary_ips.get_all()}
    orphan = project.servers.create("orphan", ServerType(name="cx23"), Image(name="debian-13"))
    settle(orphan.action, *orphan.next_actions)
    entry.check_output("parrotpark sweep")
    assert list(servers(project)) == ["gpu-1"]
    assert {address.id for address in project.primary_ips.get_all()} == addresses
    assert entry.check_output("hostname") == "entry-server"


def test_hosts_of_one_image_differ_by_their_slots_alone(entry: Host, project: Client) -> None:
    # One after the other, as leases that began in the same second end in one.
    entry.check_output("parrotpark wake 1 && parrotpark wake 2")
    found = servers(project)
    one, two = (contents(paths.MACHINES / f"server-{found[name].id}/upper") for name in ("gpu-1", "gpu-2"))
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == {
        "etc/hostname",
        "etc/hosts",
        "etc/machine-id",
        "etc/parrotpark/credentials/lease_until",
        "etc/parrotpark/slot.json",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "etc/wireguard/wg0.conf",
    }


def test_hosts_share_the_load_and_one_may_die(
    entry: Host, project: Client, ask: Callable[[int], str], state: Callable[[Host], Mapping[str, str]]
) -> None:
    services = state(entry)["services"]
    entry.check_output("parrotpark wake 2")
    before = [metric(entry, slot, GENERATED) for slot in (1, 2)]
    with ThreadPoolExecutor(8) as people:
        list(people.map(ask, [16] * 8))
    # More than the watch asks for meanwhile.
    assert all(metric(entry, slot, GENERATED) >= before[slot - 1] + 16 for slot in (1, 2))

    with ThreadPoolExecutor(4) as people:
        answers = [people.submit(ask, 300) for _ in range(4)]
        deadline = time.monotonic() + 30
        while not all(running := [metric(entry, slot, RUNNING) for slot in (1, 2)]) or sum(running) < len(answers):
            assert time.monotonic() < deadline
        lost = running[1]
        servers(project)["gpu-2"].power_off().wait_until_finished()
        assert ask(4), "the next question is answered by the host that is left"
        failed = [answer for answer in answers if answer.exception(timeout=300)]
    assert 0 < len(failed) <= lost

    entry.check_output("parrotpark wake 3")
    assert sorted(servers(project)) == ["gpu-1", "gpu-2", "gpu-3"]
    before = [metric(entry, slot, GENERATED) for slot in (1, 2, 3)]
    with ThreadPoolExecutor(12) as people:
        list(people.map(ask, [16] * 12))
    assert all(metric(entry, slot, GENERATED) >= before[slot - 1] + 16 for slot in (1, 2, 3))
    assert state(entry)["services"] == services
    entry.check_output("parrotpark wake 1")
    assert list(servers(project)) == ["gpu-1"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"credentials_dir": "/run/wrong"}, "check the token in /run/wrong/gpu"),
        ({"offers": [{"cloud": "gpu", "location": "fsn1", "server_type": "renamed"}]}, "type 'renamed' is unknown"),
        ({"fingerprint": "0" * 32}, "run make wake"),
    ],
    ids=["token", "type", "image"],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    entry: Host, project: Client, changes: dict[str, Any], says: str
) -> None:
    entry.check_output("systemctl stop parrotpark-keep.timer && parrotpark sleep")
    entry.check_output("install -D --mode=0600 /etc/hostname /run/wrong/gpu")
    with configured(entry, **changes) as config:
        wake = entry.run(f"parrotpark wake --config {config}")
    assert wake.rc == 1
    (line,) = wake.stderr.strip().splitlines()
    assert says in line
    assert servers(project) == {}


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (["scarce", "--type", "ccx33", "--location", "fsn1"], "resource_unavailable"),
        (["limit", "--project", "gpu", "0"], "resource_limit_exceeded"),
    ],
    ids=["capacity", "quota"],
)
def test_a_cloud_that_has_nothing_is_one_line(entry: Host, project: Client, order: list[str], says: str) -> None:
    entry.check_output("systemctl stop parrotpark-keep.timer && parrotpark sleep")
    on, off = (order, [*order[:-1], "off"]) if order[0] == "limit" else ([*order, "on"], [*order, "off"])
    local_cloud(*on)
    try:
        wake = entry.run("parrotpark wake")
    finally:
        local_cloud(*off)
    assert wake.rc == 1
    (line,) = wake.stderr.strip().splitlines()
    assert says in line
    assert servers(project) == {}


def test_a_host_that_nobody_renews_ends_by_itself(entry: Host, project: Client) -> None:
    entry.check_output("systemctl stop parrotpark-keep.timer && parrotpark sleep")
    with configured(entry, **SHORT) as config:
        entry.check_output(f"parrotpark wake --config {config}")
    deadline = time.monotonic() + 600
    while servers(project)["gpu-1"].status != "off":
        assert time.monotonic() < deadline, "the dead-man did not end it"
        time.sleep(2)
    # The sweep alone, then, ends the bill.
    entry.check_output("parrotpark sweep")
    assert servers(project) == {}
