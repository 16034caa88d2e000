"""The very first thing that a careful person runs is a check: it says what would be made, and makes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.verbs.conftest import Stack

MADE = [
    "Make the secrets that are missing",
    "hcloud_project : Upload the SSH key",
    "hcloud_project : Keep the firewall",
    "hcloud_server : Keep the address",
    "hcloud_server : Keep the server",
    "hcloud_server : Keep the data volume",
    "golden_image : Make a server to bake one on",
]


def changes(output: str) -> set[str]:
    tasks = re.findall(r"^TASK \[(.+?)\] \**\n((?:(?!^TASK|^PLAY).*\n)*)", output, re.MULTILINE)
    return {name for name, said in tasks if "changed: [localhost]" in said}


def test_a_check_before_the_first_run_says_what_would_be_made(stack: Stack) -> None:
    wheel, folder = stack.folder / "some.whl", stack.folder / "model"
    wheel.touch()
    folder.mkdir()
    stack.inputs(
        parrotpark_vllm_extra_wheels=[str(wheel)],
        parrotpark_generate_model=str(folder),
        parrotpark_embed_model=str(folder),
        parrotpark_litellm_query_engine=str(wheel),
        parrotpark_open_webui_image=f"registry.example/chat@sha256:{'a' * 64}",
    )
    before = sorted(stack.folder.rglob("*"))
    done = stack.play("site.yml", "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert changes(done.stdout) >= set(MADE)
    assert "vault_deploy_ssh_public_key: made" in done.stdout
    assert sorted(stack.folder.rglob("*")) == before
    for project in ("entry", "gpu"):
        assert list(stack.project(project).servers({})) == []
    assert set(stack.served.backend.calls) <= {"filter"}
