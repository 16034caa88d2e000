"""Loads our plugins as Ansible does, and gives them an empty local cloud."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import (
    action_loader,
    connection_loader,
    filter_loader,
    init_plugin_loader,
    inventory_loader,
    module_loader,
)
from ansible.template import Templar

from tests.cloud_in_memory import TOKENS, Served, serving

ROOT = Path(__file__).parents[3]

type RunModule = Callable[..., dict[str, Any]]
type RunAction = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def _plugins() -> None:
    init_plugin_loader()
    for loader, folder in (
        (action_loader, "action"),
        (filter_loader, "filter"),
        (inventory_loader, "inventory"),
        (module_loader, "modules"),
    ):
        loader.add_directory(str(ROOT / "plugins" / folder))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients ask again soon: machines in memory are quick."""
    sleep = time.sleep
    monkeypatch.setattr("hcloud._client.time.sleep", lambda seconds: sleep(min(seconds, 0.01)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with what inputs may name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    return tmp_path


@pytest.fixture
def local_cloud(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "cloud") as served:
        yield served


@pytest.fixture
def token() -> str:
    return next(token for token, project in TOKENS.items() if project == "gpu")


@pytest.fixture
def credential_file(token: str, tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(token)
    return str(path)


@pytest.fixture
def gpu(local_cloud: Served, credential_file: str) -> dict[str, str]:
    """The project of the GPU hosts as a module is given a cloud."""
    return {
        "name": "gpu",
        "provider": "hetzner",
        "credential_file": credential_file,
        "endpoint": local_cloud.endpoint,
        "image": "debian-13",
    }


@pytest.fixture
def other_token() -> str:
    return next(token for token, project in TOKENS.items() if project == "entry")


@pytest.fixture
def other(gpu: dict[str, str], other_token: str, tmp_path: Path) -> dict[str, str]:
    """A second cloud: the other project."""
    path = tmp_path / "other.token"
    path.write_text(other_token)
    return {**gpu, "name": "other", "credential_file": str(path)}


@pytest.fixture
def loader() -> DataLoader:
    loader = DataLoader()
    right: list[Any] = [("default", VaultSecret(b"right"))]
    loader.set_vault_secrets(right)
    return loader


@pytest.fixture(scope="session")
def load_module() -> Callable[[str], ModuleType]:
    """Loads the source of a module, which is no part of any package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / f"plugins/modules/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Runs the `main` of a module with arguments and returns its result."""

    def run(module: ModuleType, **arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capsys.readouterr().out)
        assert isinstance(result, dict)
        return result

    return run


@pytest.fixture
def run_action(loader: DataLoader) -> RunAction:
    """Runs an action plugin with arguments and returns its result."""

    def run(
        name: str, arguments: dict[str, Any], *, variables: dict[str, Any] | None = None, check: bool = False
    ) -> dict[str, Any]:
        task = Task.load({"name": "Test", "action": name, "args": arguments, "check_mode": check})
        action = action_loader.get(
            name,
            task=task,
            connection=connection_loader.get("local", PlayContext()),
            play_context=PlayContext(),
            loader=loader,
            templar=Templar(loader, variables=variables),
            shared_loader_obj=None,
        )
        result = action.run(task_vars=variables or {})
        assert isinstance(result, dict)
        return result

    return run
