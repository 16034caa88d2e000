"""An inventory of its own in an empty cloud, and the verbs run on it as people run them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from parrotpark.cloud import Account, Cloud, connect
from tests.cloud_in_memory import TOKENS, Served, serving

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Stack:
    """The inventory, and the cloud behind it."""

    folder: Path
    served: Served

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    def inputs(self, **changes: Any) -> None:
        """Set inputs, besides those that there are."""
        file = self.inventory / "group_vars/all.yml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))

    def project(self, name: str) -> Cloud:
        return connect(Account.of(self.cloud(name)))

    def cloud(self, name: str, **changes: Any) -> dict[str, Any]:
        """Write a cloud as inputs do."""
        file = str(self.folder / f"{name}.token")
        return {
            "name": name,
            "provider": "hetzner",
            "credential_file": file,
            "endpoint": self.served.endpoint,
            **changes,
        }

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the repository."""
        return self.run("ansible-playbook", "-i", str(self.inventory), playbook, *arguments)

    def run(self, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """An inventory like the local one, with nothing in its cloud and nothing in its folders but what it is given."""
    for token, project in TOKENS.items():
        (tmp_path / f"{project}.token").write_text(token)
    local = yaml.safe_load((ROOT / "inventories/local/group_vars/all.yml").read_text())
    # There is no S3 endpoint beside the cloud in memory.
    inputs = {name: value for name, value in local.items() if not name.startswith("parrotpark_s3_")}
    (tmp_path / "inventory/group_vars").mkdir(parents=True)
    (tmp_path / "inventory/parrotpark.yml").write_text((ROOT / "inventories/local/parrotpark.yml").read_text())
    (tmp_path / "inventory/group_vars/all.yml").write_text(yaml.safe_dump(inputs))
    # What `make up` has made by then.
    artifact, model = tmp_path / "artifact", tmp_path / "model"
    artifact.touch()
    model.mkdir()
    with serving(tmp_path / "cloud") as served:
        stack = Stack(tmp_path, served)
        stack.inputs(
            parrotpark_state_dir="{{ inventory_dir }}/.state",
            parrotpark_vault_password_file=str(tmp_path / "vault-password"),
            parrotpark_clouds=[stack.cloud("entry"), stack.cloud("gpu")],
            parrotpark_extra_ca_files=[],
            parrotpark_vllm_extra_wheels=[str(artifact)],
            parrotpark_litellm_query_engine=str(artifact),
            parrotpark_open_webui_image=f"registry.example/chat@sha256:{'a' * 64}",
            parrotpark_models=[
                {"source": str(model), "purpose": purpose, "name": purpose, "context_length": 256}
                for purpose in ("chat", "embedding")
            ],
        )
        yield stack
