"""A second run changes nothing, and a plan after it is empty: on every host, in its files, services and database."""

import re
import subprocess
from collections.abc import Callable

import pytest
from testinfra.host import Host

RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def schema(entry: Host) -> str:
    # pg_dump writes a new random \restrict key into every dump.
    dump = "pg_dump --schema-only {} | grep -v restrict"
    text: str = entry.check_output(f"su postgres -c '{dump.format('litellm')}; {dump.format('open_webui')}'")
    return text


@pytest.mark.parametrize("arguments", [[], ["--check", "--diff"]], ids=["site", "plan"])
def test_nothing_changes(arguments: list[str], entry: Host, gpu: Host, state: Callable[[Host], object]) -> None:
    before = state(entry), state(gpu), schema(entry)
    run = subprocess.run(["ansible-playbook", "site.yml", *arguments], check=False, capture_output=True, text=True)
    recap = RECAP.findall(run.stdout)
    assert run.returncode == 0, run.stdout
    assert {name for name, *_ in recap} == {"localhost", "entry-server"}
    assert {tuple(counts) for _, *counts in recap} == {("0", "0", "0")}, run.stdout
    assert (state(entry), state(gpu), schema(entry)) == before
