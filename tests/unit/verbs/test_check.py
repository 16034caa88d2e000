"""The very first thing that a careful person runs is a check: it says what would be made, and makes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from parrotpark.control.placement import SHARE

if TYPE_CHECKING:
    from tests.unit.verbs.conftest import Stack

ROOT = Path(__file__).parents[3]
MADE = [
    "Create the secrets that are missing",
    "cloud_project : Make the SSH key and the firewall",
    "hcloud_server : Manage the address",
    "hcloud_server : Manage the server",
    "hcloud_server : Manage the data volume",
    "golden_image : Create servers to bake them on",
]


def changes(output: str) -> set[str]:
    tasks = re.findall(r"^TASK \[(.+?)\] \**\n((?:(?!^TASK|^PLAY).*\n)*)", output, re.MULTILINE)
    return {name for name, said in tasks if "changed: [localhost]" in said}


def test_a_check_before_the_first_run_says_what_would_be_made(stack: Stack) -> None:
    before = sorted(stack.folder.rglob("*"))
    done = stack.play("site.yml", "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert changes(done.stdout) >= set(MADE)
    assert "vault_deploy_ssh_public_key: made" in done.stdout
    assert sorted(stack.folder.rglob("*")) == before
    for project in ("entry", "gpu"):
        assert list(stack.project(project).servers({})) == []
    assert set(stack.served.backend.calls) <= {"filter"}


def test_a_check_goes_on_where_only_some_secrets_are_missing(stack: Stack) -> None:
    """After an update that brings a new one, say, or with one slot more."""
    prepared = stack.play("playbooks/prepare.yml")
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    secrets = stack.inventory / ".state/secrets.yml"
    before = secrets.read_bytes()
    view = ["ansible-vault", "view", "--vault-password-file", str(stack.folder / "vault-password"), str(secrets)]
    assert "vault_deploy_ssh_public_key: ssh-ed25519 " in stack.run(*view).stdout
    done = stack.play("site.yml", "--check", "--diff", "-e", "parrotpark_gpu_slots=4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vault_slots.gpu-4.wireguard_private_key: made" in done.stdout
    assert "vault_slots.gpu-1" not in done.stdout
    assert secrets.read_bytes() == before


def test_the_production_inventory_is_refused_for_just_what_its_runbook_tells_to_edit(stack: Stack) -> None:
    """Before anything is made, and so before anything is billed."""
    answers = {"parrotpark_clouds": [stack.cloud("entry"), stack.cloud("gpu")]}
    site = ["ansible-playbook", "-i", str(ROOT / "inventories/production"), "site.yml", "--check"]
    done = stack.run(*site, "-e", json.dumps(answers))
    assert done.returncode == 2
    said = done.stdout.partition("[ERROR]: ")[2].partition("Origin: ")[0]
    refused = set(re.findall(r"(parrotpark_\w+) (?:is|names) ", said))
    assert refused == {
        "parrotpark_checked_version",
        "parrotpark_domain",
        "parrotpark_sign_on_domain",  # which follows from it
        "parrotpark_acme_email",
        "parrotpark_admin_email",
        "parrotpark_librechat_image",
        "parrotpark_librechat_rag_image",
        "parrotpark_librechat_search_image",
        "parrotpark_mongodb_image",
        "parrotpark_vllm_extra_wheels",
    }
    runbook = (ROOT / "docs/production.md").read_text()
    assert [name for name in refused | answers.keys() if name not in runbook] == []
    assert set(stack.served.backend.calls) <= {"filter"}


def test_cards_that_could_not_serve_end_a_run_before_anything_is_made(stack: Stack) -> None:
    offer = {"cloud": "gpu", "location": "fsn1", "server_type": "ccx33", "gpu": {"card": "V100"}}
    stack.inputs(parrotpark_accelerator="cuda", parrotpark_gpu_offers=[offer])
    done = stack.play("site.yml")
    assert done.returncode == 2
    assert "ccx33 in fsn1 at gpu: V100 is of generation Volta, too old for vLLM 0.32" in done.stdout + done.stderr
    assert not (stack.inventory / ".state/secrets.yml").exists()
    assert set(stack.served.backend.calls) <= {"filter"}


def test_a_check_goes_on_without_a_box_that_sleeps_but_not_with_a_card_that_could_not_serve(stack: Stack) -> None:
    box = {"name": "attic", "slot": "gpu-1", "address": "192.0.2.7", "host_key": "ssh-ed25519 AAAA"}
    offer = {"cloud": "home", "location": "attic", "server_type": "static", "gpu": {"card": "L4"}}
    models = [
        {"source": "a/model@" + "a" * 40, "name": purpose, "purpose": purpose, "context_length": 256, "engine": share}
        for purpose, share in (("chat", {SHARE: 0.6}), ("embedding", {SHARE: 0.3}))
    ]
    stack.inputs(
        parrotpark_accelerator="cuda",
        parrotpark_models=models,
        parrotpark_clouds=[stack.cloud("entry"), {"name": "home", "provider": "static", "hosts": [box]}],
        parrotpark_gpu_offers=[offer],
        parrotpark_gpu_slots=1,
    )
    done = stack.play("site.yml", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "attic at 192.0.2.7 lets nobody in, and stays as it is" in " ".join(done.stdout.split())
    stack.inputs(parrotpark_gpu_offers=[offer | {"gpu": {"card": "V100"}}])
    done = stack.play("site.yml", "--check")
    assert done.returncode == 2
    assert "static in attic at home: V100 is of generation Volta, too old for vLLM 0.32" in done.stdout + done.stderr
