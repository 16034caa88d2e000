"""A second run changes nothing, and a plan after it is empty: on every host, in its files, services and database."""

import re
import subprocess

import pytest
from testinfra.host import Host

SERVICES = "caddy litellm open-webui postgresql@17-main ssh nftables wg-quick@wg0 vllm@generate vllm@embed"
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def state(host: Host) -> dict[str, str]:
    """Tell all that a run could have touched: contents of /etc, every path in /opt, and each service's invocation."""
    commands = {
        "etc": "find /etc -xdev -type f -print0 | sort -z | xargs -0 sha256sum",
        "opt": "find /opt -xdev -printf '%p %y %m %U %s %T@\\n' | sort | sha256sum",
        "services": f"systemctl show --property=Id,ActiveState,InvocationID {SERVICES}",
    }
    return {name: host.check_output(command) for name, command in commands.items()}


def schema(entry: Host) -> str:
    # pg_dump writes a new random \restrict key into every dump.
    dump = "pg_dump --schema-only {} | grep -v restrict"
    return entry.check_output(f"su postgres -c '{dump.format('litellm')}; {dump.format('open_webui')}'")


@pytest.mark.parametrize("arguments", [[], ["--check", "--diff"]], ids=["site", "plan"])
def test_nothing_changes(arguments: list[str], entry: Host, gpu: Host) -> None:
    before = state(entry), state(gpu), schema(entry)
    run = subprocess.run(["ansible-playbook", "site.yml", *arguments], check=False, capture_output=True, text=True)
    recap = RECAP.findall(run.stdout)
    assert run.returncode == 0, run.stdout
    assert {name for name, *_ in recap} == {"localhost", "entry-server", "gpu-1"}
    assert {tuple(counts) for _, *counts in recap} == {("0", "0", "0")}, run.stdout
    assert (state(entry), state(gpu), schema(entry)) == before
