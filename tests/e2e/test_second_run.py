"""A second run changes nothing, and a plan after it is empty: on every host, in its files, services and database."""

import re
import subprocess
from collections.abc import Callable, Mapping

import pytest
from testinfra.host import Host

RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


# What runs of Ansible keep in the databases; the rest changes by use.
ROWS = {
    "litellm": (
        'SELECT token, key_alias, team_id, models, max_budget, created_at FROM "LiteLLM_VerificationToken" ORDER BY 1',
        'SELECT team_id, team_alias, models, max_budget, created_at FROM "LiteLLM_TeamTable" ORDER BY 1',
        "SELECT * FROM _prisma_migrations ORDER BY 1",
    ),
    "open_webui": ("SELECT * FROM auth ORDER BY 1", "SELECT * FROM model ORDER BY 1", "SELECT id FROM chat ORDER BY 1"),
}


def databases(entry: Host) -> list[str]:
    """Tell how the tables are made, and what stands in those that runs of Ansible write."""
    # pg_dump writes a new random \restrict key into every dump.
    schemas = [f"runuser -u postgres -- pg_dump --schema-only {name} | grep -v restrict" for name in ROWS]
    queries = [(name, query) for name in ROWS for query in ROWS[name]]
    return [
        *(entry.check_output(dump) for dump in schemas),
        *(entry.check_output("runuser -u postgres -- psql -tA %s -c %s", *query) for query in queries),
    ]


@pytest.mark.parametrize("arguments", [[], ["--check", "--diff"]], ids=["site", "plan"])
def test_nothing_changes(
    arguments: list[str], entry: Host, gpu: Host, state: Callable[[Host], Mapping[str, str]]
) -> None:
    before = state(entry), state(gpu), databases(entry)
    assert all(
        f"Id={service}" in before[0]["services"] for service in ("caddy", "litellm", "open-webui", "postgresql@")
    )
    assert "Id=vllm@" in before[1]["services"]
    run = subprocess.run(["ansible-playbook", "site.yml", *arguments], check=False, capture_output=True, text=True)
    recap = RECAP.findall(run.stdout)
    assert run.returncode == 0, run.stdout
    assert {name for name, *_ in recap} == {"localhost", "entry-server"}
    assert {tuple(counts) for _, *counts in recap} == {("0", "0", "0")}, run.stdout
    assert (state(entry), state(gpu), databases(entry)) == before
