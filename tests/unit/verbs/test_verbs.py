"""A verb that cannot do its work fails, in one line that says what to do: else a GPU host would bill on unseen."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from parrotpark.cloud import Offer, ServerSpec
from parrotpark.shared.lease import Lease, State

if TYPE_CHECKING:
    from tests.unit.verbs.conftest import Stack

ROOT = Path(__file__).parents[3]
PLAYBOOKS = {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("playbooks/*.yml")}
IMPORT = "ansible.builtin.import_playbook"
# What site.yml imports begins with the whole of it.
PARTS = {Path(play[IMPORT]).name for play in yaml.safe_load((ROOT / "site.yml").read_text())} - {"prepare.yml"}
VERBS = sorted(PLAYBOOKS.keys() - PARTS - {"begin.yml", "clouds.yml", "preflight.yml"})
JOURNAL = ["-e", "logs_hosts=entry", "-e", "logs_unit=", "-e", "logs_lines=1"]
ENTRY = ServerSpec("entry-server", Offer("entry", "fsn1", "cx33"), "debian-13", {"parrotpark-role": "entry"})
GPU = ServerSpec(
    "gpu-1",
    Offer("gpu", "fsn1", "ccx33"),
    "debian-13",
    Lease("gpu", "gpu-1", State.SERVING, "me", "a", 1_900_000_000).labels(),
)


def errors(done: CompletedProcess[str]) -> list[str]:
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("[ERROR]: ")]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_begins_with_the_refusals(verb: str) -> None:
    assert PLAYBOOKS[verb][0][IMPORT] == "begin.yml"


def test_the_verbs_are_those_of_make() -> None:
    assert {"check.yml", "sleep.yml", "wake.yml", "sweep.yml", "status.yml", "logs.yml", "prepare.yml"} <= set(VERBS)


@pytest.mark.parametrize("command", [["ansible-playbook", "playbooks/sleep.yml"], ["ansible", "all", "-m", "ping"]])
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"credential_file": "/no/gpu.token"}, "the credential file /no/gpu.token of cloud gpu does not exist: put"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "nothing answers at http://127.0.0.1:9/v1: start"),
        ({"regoin": "x"}, "parrotpark_clouds is missing from the inventory, or is not a list of clouds ("),
    ],
)
def test_without_a_cloud_nothing_ends_well(
    stack: Stack, command: list[str], changes: dict[str, Any], line: str
) -> None:
    stack.inputs(parrotpark_clouds=[stack.cloud("entry"), stack.cloud("gpu", **changes)])
    done = stack.run(*command, "-i", str(stack.inventory))
    assert done.returncode != 0
    (error,) = errors(done)
    assert error.startswith(f"[ERROR]: {line}")


@pytest.mark.parametrize("verb", ["sleep", "wake", "status", "logs"])
def test_without_an_entry_server_nothing_ends_well(stack: Stack, verb: str) -> None:
    stack.project("gpu").create(GPU)
    done = stack.play(f"playbooks/{verb}.yml", *JOURNAL)
    assert done.returncode != 0
    (error,) = errors(done)
    assert error.endswith("no host matches entry: make site creates the entry server, make wake the GPU hosts")
    assert [server.name for server in stack.project("gpu").servers({})] == ["gpu-1"]


@pytest.mark.parametrize("there", [False, True])
def test_a_sweep_needs_no_entry_server(stack: Stack, there: bool) -> None:
    """Or what a lost one left behind would bill on; if there is one, it has more to sweep."""
    for slot, left in (("gpu-1", 900), ("gpu-2", -3600)):
        labels = Lease("gpu", slot, State.SERVING, "me", "a", int(time.time()) + left).labels()
        stack.project("gpu").create(replace(GPU, name=slot, labels=labels))
    if there:
        stack.project("entry").create(ENTRY)
    sweep = ["playbooks/sweep.yml", "-e", "ansible_port=9"]
    assert (stack.play(*sweep, "--check").returncode == 0) is not there
    assert len(stack.project("gpu").servers({})) == 2
    done = stack.play(*sweep)
    assert (done.returncode == 0) is not there
    assert "gpu-2: delete at once, its lease ended" in done.stdout
    assert [server.name for server in stack.project("gpu").servers({})] == ["gpu-1"]


def test_a_sweeper_is_made_on_a_look_at_what_it_will_delete(stack: Stack) -> None:
    """Only looked at, as a check: no systemd is touched."""
    stack.project("gpu").create(replace(GPU, labels={}))
    sweeper = ["playbooks/sweeper.yml", "--check", "-e", "sweeper_inventory=a-test-of-ours"]
    done = stack.play(*sweeper)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=1" in done.stdout
    stack.project("gpu").create(replace(ENTRY, offer=GPU.offer))
    done = stack.play(*sweeper)
    assert done.returncode != 0
    assert "give the GPU hosts a project of their own" in errors(done)[0]


@pytest.mark.parametrize("verb", ["sleep", "sweep", "status"])
def test_with_an_entry_server_that_does_not_answer_nothing_ends_well(stack: Stack, verb: str) -> None:
    stack.project("entry").create(ENTRY)
    done = stack.play(f"playbooks/{verb}.yml", "-e", "ansible_host=127.0.0.1", "-e", "ansible_port=9")
    assert done.returncode != 0
    # Ansible words it in two ways, by the moment at which the connection breaks.
    assert "make sure this host can be reached over ssh" in errors(done)[0].lower()


@pytest.mark.parametrize("verb", ["site.yml", "playbooks/wake.yml", "site.yml --tags caddy", "site.yml --check"])
def test_a_version_that_nobody_checked_is_refused_before_anything_is_made(stack: Stack, verb: str) -> None:
    stack.project("entry").create(ENTRY)
    stack.inputs(parrotpark_checked_version="0.1.0", parrotpark_embed_model="x")
    done = stack.play(*verb.split())
    assert done.returncode != 0
    said = "\n".join(errors(done))
    assert "parrotpark_embed_model in " in said
    assert "is now parrotpark_models[].source" in said
    assert "0.2.0: This affects you if " in done.stdout + done.stderr
    assert list(stack.project("gpu").servers({})) == []
    assert not (stack.inventory / ".state").exists()


@pytest.mark.parametrize("limit", ["entry", "gpu", "all"])
def test_a_limit_is_refused(stack: Stack, limit: str) -> None:
    stack.project("entry").create(ENTRY)
    stack.project("gpu").create(GPU)
    done = stack.play("site.yml", "--limit", limit)
    assert done.returncode != 0
    (error,) = errors(done)
    assert f"--limit {limit} leaves out plays that others depend on: run without it" in error


def test_settings_that_ansible_did_not_read_are_missed(stack: Stack, tmp_path: Path) -> None:
    done = stack.run("ansible-playbook", str(ROOT / "playbooks/status.yml"), cwd=tmp_path)
    assert done.returncode != 0
    assert "use make, or export ANSIBLE_CONFIG=" in errors(done)[0]


def test_settings_that_are_named_are_read_where_everybody_may_write(stack: Stack, tmp_path: Path) -> None:
    """As make names them: by itself Ansible ignores the ansible.cfg of such a folder."""
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o777)
    checkout.chmod(0o777)
    for name in ("ansible.cfg", "playbooks", "plugins", "roles", "inventories"):
        (checkout / name).symlink_to(ROOT / name)
    status = ["ansible-playbook", "-i", str(stack.inventory), "playbooks/status.yml"]
    (error,) = errors(stack.run(*status, cwd=checkout))
    assert "use make, or export ANSIBLE_CONFIG=" in error
    (error,) = errors(stack.run("env", f"ANSIBLE_CONFIG={checkout}/ansible.cfg", *status, cwd=checkout))
    assert "no host matches entry" in error


def test_the_inventory_follows_the_inputs(stack: Stack) -> None:
    """One place says where the servers are: what creates them there also finds them there."""
    stack.project("entry").create(ENTRY)
    stack.project("gpu").create(GPU)
    for project in ("entry", "gpu"):
        (stack.folder / f"{project}.token").rename(stack.folder / f"{project}.moved")
    entry, gpu = (stack.cloud(name, credential_file=f"{stack.folder}/{name}.moved") for name in ("entry", "gpu"))
    stack.inputs(parrotpark_clouds=[entry, gpu | {"credential_file": "{{ moved }}"}], moved="/lost")
    extra = f"moved={gpu['credential_file']}"
    done = stack.run("ansible-inventory", "-i", str(stack.inventory), "--list", "-e", extra)
    assert done.returncode == 0, done.stderr
    hosts = json.loads(done.stdout)
    assert (hosts["cloud_entry"]["hosts"], hosts["cloud_gpu"]["hosts"]) == (["entry-server"], ["gpu-1"])
    assert (hosts["entry"]["hosts"], hosts["gpu"]["hosts"]) == (["entry-server"], ["gpu-1"])
    key = hosts["_meta"]["hostvars"]["gpu-1"]["ansible_ssh_private_key_file"]
    assert key == f"{stack.inventory}/.state/ssh/id_ed25519"


def test_a_stranger_of_the_entry_servers_name_is_refused(stack: Stack) -> None:
    """Not relabelled and put behind our firewall."""
    theirs = ServerSpec("entry-server", Offer("entry", "fsn1", "cx33"), "debian-13", {"purpose": "shop"})
    stack.project("entry").create(theirs)
    done = stack.play("site.yml")
    assert done.returncode != 0
    assert "a server named entry-server is in the project, but does not carry parrotpark-role=entry" in errors(done)[0]
    (server,) = stack.project("entry").servers({})
    assert server.labels == {"purpose": "shop"}


def test_a_first_run_stops_for_the_dns_once_the_address_is_known(stack: Stack) -> None:
    stack.inputs(
        parrotpark_domain="ai.invalid",
        parrotpark_sign_on_domain="auth.ai.invalid",
        parrotpark_public_port=443,
        parrotpark_tls="acme",
        parrotpark_acme_email="it@ai.invalid",
    )
    for _ in range(2):
        (error,) = errors(stack.play("site.yml"))
        (server,) = stack.project("entry").servers({})
        assert f"point ai.invalid and auth.ai.invalid at {server.ipv4} where your DNS is" in error
