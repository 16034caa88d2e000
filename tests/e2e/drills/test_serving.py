"""A model dies or hangs, its host's disk is full, its host's network is cut: people wait for minutes at most."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai
import pytest
import testinfra
from hcloud import Client
from testinfra.host import Host

from tests.machines import client as client_of

QUESTION = "What is the capital of France?"
TOO_LATE = 10  # seconds; nobody waits longer for an answer of one line
PATIENCE = 400  # seconds, until a drill is given up


@dataclass
class Watch:
    """Somebody who asks every second, and looks which servers there are."""

    ask: Callable[[], str]
    project: Client
    answered: list[float] = field(default_factory=list)
    servers: set[int] = field(default_factory=set)
    at_once: int = 0

    def look(self) -> None:
        found = self.project.servers.get_all()
        self.servers |= {server.id for server in found if server.id}
        self.at_once = max(self.at_once, len(found))

    def try_to_ask(self) -> None:
        try:
            answer = self.ask()
        except openai.APIError:
            return
        if "Paris" in answer:
            self.answered.append(time.monotonic())

    def wait_for(self, count: int, after: float) -> None:
        deadline = time.monotonic() + PATIENCE
        while sum(answer > after for answer in self.answered) < count:
            assert time.monotonic() < deadline, "nobody answers any more"
            time.sleep(1)

    def longest_gap(self) -> float:
        """Seconds without any answer."""
        times = sorted(self.answered)
        return max(after - before for before, after in itertools.pairwise(times))


@contextmanager
def watching(ask: Callable[[], str], project: Client) -> Iterator[Watch]:
    watch, ended = Watch(ask, project), threading.Event()

    def every_second(people: ThreadPoolExecutor) -> None:
        while not ended.wait(1):
            people.submit(watch.try_to_ask)
            watch.look()

    with ThreadPoolExecutor(32) as people, ThreadPoolExecutor(1) as clock:
        done = clock.submit(every_second, people)
        try:
            yield watch
        finally:
            ended.set()
        done.result()


@pytest.fixture(scope="module")
def project() -> Client:
    """The GPU hosts' cloud project."""
    return client_of("gpu")


@pytest.fixture
def ask(client: openai.OpenAI, generate_model: str) -> Callable[[], str]:
    """Asks as people do, through the gateway."""

    def ask() -> str:
        answer = client.with_options(max_retries=0, timeout=TOO_LATE).chat.completions.create(
            model=generate_model, messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=12
        )
        return answer.choices[0].message.content or ""

    return ask


@pytest.fixture
def host(pytestconfig: pytest.Config, entry: Host) -> Host:
    """The one GPU host; it serves, though the drill before has broken it."""
    entry.check_output("systemctl start parrotpark-keep.timer && parrotpark wake 1")
    (found,) = testinfra.get_hosts(["ansible://gpu"], ansible_inventory=pytestconfig.getoption("stack"))
    assert isinstance(found, Host)
    return found


def processes(model: str, which: str) -> str:
    """A shell's words for the processes of a model's unit whose command line holds the text."""
    unit = f"vllm@{model}.service"
    return f'$(ps -eo pid=,unit=,args= | awk \'$2 == "{unit}" && $0 ~ "{which}" {{ print $1 }}\')'


SERVER, ENGINE = "bin/python [^ ]*/vllm serve", "EngineCore"


@pytest.mark.parametrize(
    ("signal", "which", "seconds"),
    [("KILL", ENGINE, 60), ("KILL", SERVER, 60), ("STOP", ENGINE, 120), ("STOP", SERVER, 120)],
    ids=["engine dies", "server dies", "engine hangs", "server hangs"],
)
def test_a_model_comes_back_on_its_host(
    host: Host, project: Client, ask: Callable[[], str], generate_model: str, signal: str, which: str, seconds: int
) -> None:
    with watching(ask, project) as watch:
        watch.wait_for(3, 0)
        host.check_output(f"kill -{signal} {processes(generate_model, which)}")
        watch.wait_for(10, time.monotonic() + TOO_LATE)
    assert 5 < watch.longest_gap() < seconds
    assert len(watch.servers) == 1, "it was replaced, though it could help itself"


# What a full disk is to those who write: each folder on it has no room and no inode left.
FULL = """
set -e
for folder in /var/cache/vllm /var/tmp /tmp; do
  mkdir -p /run/full && cp -a $folder/. /run/full
  size=$(($(du -sk $folder | cut -f1) + 64)) inodes=$(($(find $folder | wc -l) + 9))
  mount -t tmpfs -o size=${size}k,nr_inodes=$inodes full $folder
  cp -a /run/full/. $folder && rm -r /run/full
  for number in $(seq 9); do touch $folder/full-$number || break; done
  if cat /dev/zero >$folder/full-1 || mkdir $folder/one-more; then exit 1; fi
done
"""


def test_a_full_disk_costs_minutes_at_most(
    host: Host, project: Client, ask: Callable[[], str], generate_model: str
) -> None:
    with watching(ask, project) as watch:
        watch.wait_for(3, 0)
        host.check_output(f"sh -c '{FULL}' 2>&1")
        watch.wait_for(3, time.monotonic())  # what runs goes on
        host.check_output(f"kill -KILL {processes(generate_model, ENGINE)}")
        watch.wait_for(10, time.monotonic() + TOO_LATE)
    assert 5 < watch.longest_gap() < 180
    assert watch.at_once == 1
    assert len(watch.servers) <= 2


def test_a_host_whose_network_is_cut_is_replaced_once(
    host: Host, entry: Host, project: Client, ask: Callable[[], str]
) -> None:
    with watching(ask, project) as watch:
        watch.wait_for(3, 0)
        cut = "ip link set $(ip -o route show default | sed 's/.* dev //; s/ .*//') down"
        host.check_output(f'systemd-run --on-active=1 sh -c "{cut}"')
        watch.wait_for(10, time.monotonic() + TOO_LATE)
    assert 5 < watch.longest_gap() < 180
    assert (watch.at_once, len(watch.servers)) == (1, 2)
    assert "gpu-1: serving, its models answer" in entry.check_output("parrotpark status")
