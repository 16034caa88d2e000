"""No secret is told to whom it is not for: in a process list, a journal, a log, a plan, or a file open to everybody.

A canary is planted in each of these places, so a search that finds it, and nothing else, has looked there. Programs
that search read the secrets from stdin: as arguments they would themselves be in process lists.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from localcloud import paths
from parrotpark.control.answers import Messages
from parrotpark.control.secrets.catalogue import fill_gaps
from tests.audit.audit import hosts
from tests.e2e import vault
from tests.e2e.vault import Secrets

RUN_LOG = Path(__file__).parents[3] / ".ansible" / "run.log"
JOURNALD = Path("/run/systemd/journal/socket")
CONTROL, CANARY, NOTICE = "control machine", "canary", "parrotpark_chat_notice"
GONE = ("No such file or directory", "No such process")  # what was listed, and is no more when it is read

PREPARE = """
known=$(mktemp -p /dev/shm); trap 'rm $known' EXIT; sed -un '/^$/q; p' >$known
export LC_ALL=C; look="nice grep --fixed-strings --file=$known --text --only-matching --with-filename"
"""
PLACES = {
    # Again and again, until stdin ends.
    "processes": """
while $look /proc/[0-9]*/cmdline | while IFS=: read -r path text; do echo "$(cat ${path%cmdline}comm):$text"; done
  read -rt 0.1; [ $? -gt 128 ]; do :; done
""",
    # With all fields: one is the command line of whoever wrote.
    "journal": "journalctl --quiet --output=export | $look --label=journal",
    "logs": """
find $logs -type f -print0 | xargs -0r $look
find $logs -name '*.gz' -exec zcat {} + | $look --label=rotated
""",
    # Below folders that let everybody through. Images are for whoever can pull them: modes say nothing there.
    "files": """
{ find / '(' -path /proc -o -path /sys -o -path /dev -o -path /run/netns ')' -prune \
    -o -type d ! -perm -o=x -prune -o -type f -perm -o=r -newerct @$since -print0
  find /var/lib/containers -xdev -path '*/diff/*' -type f -newerct @$since -print0; } | xargs -0r $look
""",
}

# What it writes into the journal cannot be taken back, and opens nothing.
PLANT = """
set -e; umask 077; open=/var/tmp/parrotpark-canary layer=/var/lib/containers/parrotpark-canary
trap 'rm -r $open $layer /var/log/parrotpark-canary*' EXIT
mkdir -p $layer/diff; echo $canary >$layer/diff/text
mkdir -m 711 $open; printf 'user:%s' $canary | base64 --wrap=0 >$open/base64; chmod o+r $open/base64
echo $canary >/var/log/parrotpark-canary.log; gzip --keep /var/log/parrotpark-canary.log
if [ -S /run/systemd/journal/socket ]; then logger $canary; fi
echo planted; read -r
"""
PLANTED = {
    "processes": {"bash"},  # which runs the above
    "journal": {"journal"},
    "logs": {"/var/log/parrotpark-canary.log", "rotated"},
    "files": {"/var/tmp/parrotpark-canary/base64", "/var/lib/containers/parrotpark-canary/diff/text"},
}

type Ways = Mapping[str, Sequence[str]]  # by machine, the command that runs a script there
type Found = dict[str, set[tuple[str, str]]]  # by secret, on which machines and in what


def patterns(secrets: Secrets) -> dict[str, str]:
    """Name each secret by its text, and by what base64 makes of it, wherever it stands in what was encoded."""
    names = {text: name for name, text in secrets.items()}
    for name, text in secrets.items():
        for before in range(3):
            encoded = b64encode(bytes(before) + text.encode()).decode()
            # Digits at the ends depend on the neighbours, too.
            names[encoded[(0, 2, 3)[before] : len(encoded) - (0, 3, 2)[(before + len(text)) % 3]]] = name
    return names


def start(way: Sequence[str], script: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*way, script], stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace")


@contextmanager
def searching(place: str, ways: Ways, secrets: Secrets) -> Iterator[Found]:
    """Search machines meanwhile; what was found is complete in the end."""
    names = patterns(secrets)
    found: Found = {}
    # The control machine holds much else, but what has not changed since the first of them was made holds none.
    since = min(file.stat().st_mtime for file in vault.files())
    logs = {CONTROL: f"since={since} logs='/var/log {paths.LOGS} {RUN_LOG}'"}
    with ExitStack() as stack:
        running = {}
        for machine, way in ways.items():
            script = logs.get(machine, "since=0 logs=/var/log") + PREPARE + PLACES[place]
            running[machine] = search = stack.enter_context(start(way, script))
            assert search.stdin
            search.stdin.write("\n".join([*names, "", ""]))
            search.stdin.flush()
        yield found
        for machine, search in running.items():
            said, complaints = search.communicate()
            assert [line for line in complaints.splitlines() if not line.endswith(GONE)] == [], machine
            for line in said.splitlines():
                where, _, text = line.rpartition(":")
                found.setdefault(names[text], set()).add((machine, where))


@pytest.fixture(scope="module")
def ways(pytestconfig: pytest.Config) -> Ways:
    there = {host.name: ("ssh", *host.way) for host in hosts(pytestconfig.getoption("stack"))}
    assert len(there) > 1
    return {CONTROL: ("bash", "-c"), **there}


@pytest.fixture(scope="module")
def changes() -> Mapping[str, str]:
    """Another value for every secret but the one with which a plan signs in."""
    made = fill_gaps({}, ()).values
    return {
        name: value
        for name, value in made.items()
        if isinstance(value, str) and "public" not in name and name != "vault_keycloak_automation_secret"
    }


@pytest.fixture(scope="module")
def secrets(changes: Mapping[str, str]) -> Secrets:
    """All of the stack, those that a plan will know of, and the canary."""
    planned = {f"planned {name}": text for name, text in vault.flatten(changes).items()}
    return Secrets(vault.read() | planned | {CANARY: token_hex(32)})


@pytest.fixture(scope="module", autouse=True)
def planted(ways: Ways, secrets: Secrets) -> Iterator[None]:
    with ExitStack() as stack:  # at whose end theirs stdin ends, too
        running = [stack.enter_context(start(way, f"canary={secrets[CANARY]}\n{PLANT}")) for way in ways.values()]
        for plant in running:
            assert plant.stdout
            assert plant.stdout.readline() == "planted\n", plant.communicate()[1]
        yield


@pytest.fixture(scope="module")
def meanwhile(
    ways: Ways,
    secrets: Secrets,
    changes: Mapping[str, str],
    says: Callable[[str, Messages], str],
    generate_model: str,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Found, Path]:
    """What process lists tell while a model answers and a plan is made that changes every secret; what it says."""
    folder = tmp_path_factory.mktemp("plan")
    (folder / "changes.json").write_text(json.dumps({**changes, NOTICE: secrets[CANARY]}))
    command = ["ansible-playbook", "-i", pytestconfig.getoption("stack"), "site.yml", "--check", "--diff"]
    command += ["--extra-vars", f"@{folder}/changes.json"]
    with searching("processes", ways, secrets) as found:
        says(generate_model, [{"role": "user", "content": "What is the capital of France?"}])
        log = {"ANSIBLE_LOG_PATH": str(folder / "run.log")}
        run = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **log})
    (folder / "said").write_text(run.stdout + run.stderr)
    return found, folder


def test_a_plan_shows_none(meanwhile: tuple[Found, Path], secrets: Secrets) -> None:
    said = "".join((meanwhile[1] / name).read_text() for name in ("said", "run.log"))
    shown = {name for text, name in patterns(secrets).items() if text in said}
    assert shown - {CANARY} == set()
    assert set(re.findall(r"unreachable=(\d+) +failed=(\d+)", said)) == {("0", "0")}, said
    assert CANARY in shown  # as the notice, in the difference of a file


@pytest.mark.parametrize("place", PLACES)
def test_no_other_place_holds_one(place: str, ways: Ways, secrets: Secrets, meanwhile: tuple[Found, Path]) -> None:
    assert RUN_LOG.is_file()
    # A control machine need not run systemd, and has no journal then.
    there = {name: way for name, way in ways.items() if place != "journal" or name != CONTROL or JOURNALD.exists()}
    found = meanwhile[0]
    if place != "processes":
        with searching(place, there, secrets) as found:
            pass
    assert {name: told for name, told in found.items() if name != CANARY} == {}
    assert found[CANARY] >= {(machine, where) for machine in there for where in PLANTED[place]}
