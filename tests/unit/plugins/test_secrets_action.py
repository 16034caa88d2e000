"""parrotpark_secrets: change, idempotent, check, check-idempotent, and nothing secret in any result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret

type Run = Callable[..., dict[str, Any]]

NAME = "parrotpark_secrets"


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return {"state_dir": str(tmp_path / "state"), "slots": 1, "entry_names": ["entry"]}


def secrets_in(values: object) -> set[str]:
    if isinstance(values, dict):
        return {text for value in values.values() for text in secrets_in(value)}
    return {str(values)}


def test_check_says_what_is_missing_and_makes_nothing(run_action: Run, arguments: dict[str, Any]) -> None:
    result = run_action(NAME, arguments, check=True)
    assert result["changed"]
    assert not Path(arguments["state_dir"]).exists()
    made = run_action(NAME, arguments)
    assert made["made"] == result["made"]
    assert made["planned"] == {}


def test_change(run_action: Run, arguments: dict[str, Any], loader: DataLoader) -> None:
    result = run_action(NAME, arguments)
    path = Path(arguments["state_dir"]) / "secrets.yml"
    assert result["changed"]
    assert "vault_vllm_api_key" in result["made"]
    assert result["files"] == ["id_ed25519", "id_ed25519.pub", "known_hosts"]
    assert path.read_text().startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    values = loader.load_from_file(str(path))
    assert set(values) == {name for name in result["made"] if "." not in name} | {"vault_slots"}


def test_idempotent(run_action: Run, arguments: dict[str, Any]) -> None:
    run_action(NAME, arguments)
    before = (Path(arguments["state_dir"]) / "secrets.yml").read_bytes()
    result = run_action(NAME, arguments)
    assert (result["changed"], result["made"], result["files"]) == (False, [], [])
    assert (Path(arguments["state_dir"]) / "secrets.yml").read_bytes() == before


def test_check_idempotent(run_action: Run, arguments: dict[str, Any]) -> None:
    run_action(NAME, arguments)
    assert not run_action(NAME, arguments, check=True)["changed"]


def test_a_check_plans_what_is_missing_and_tells_nothing_that_is_there(
    run_action: Run, arguments: dict[str, Any]
) -> None:
    planned = run_action(NAME, arguments, check=True)["planned"]
    assert {"vault_deploy_ssh_public_key", "vault_slots"} <= planned.keys()
    assert planned["vault_slots"]["gpu-1"].keys() >= {"wireguard_public_key", "ssh_host_private_key"}
    run_action(NAME, arguments)
    assert run_action(NAME, arguments, check=True)["planned"] == {}
    (slots,) = run_action(NAME, {**arguments, "slots": 2}, check=True)["planned"].values()
    assert slots.keys() == {"gpu-2"}


def test_another_slot_gets_keys_and_the_first_keeps_its_own(
    run_action: Run, arguments: dict[str, Any], loader: DataLoader
) -> None:
    run_action(NAME, arguments)
    path = str(Path(arguments["state_dir"]) / "secrets.yml")
    before = loader.load_from_file(path, cache="none")["vault_slots"]["gpu-1"]
    result = run_action(NAME, {**arguments, "slots": 2})
    assert {name.rpartition(".")[0] for name in result["made"]} == {"vault_slots.gpu-2"}
    assert result["files"] == ["known_hosts"]
    assert loader.load_from_file(path, cache="none")["vault_slots"]["gpu-1"] == before


def test_the_entry_server_is_known_by_its_names(run_action: Run, arguments: dict[str, Any]) -> None:
    run_action(NAME, {**arguments, "entry_names": ["entry", "192.0.2.1"], "bake_names": ["gpu-bake"]})
    known = (Path(arguments["state_dir"]) / "ssh/known_hosts").read_text()
    assert [line.split()[0] for line in known.splitlines()] == ["192.0.2.1", "entry", "gpu-1", "gpu-bake"]
    assert not run_action(NAME, arguments)["changed"]


def test_nothing_secret_is_returned(run_action: Run, arguments: dict[str, Any], loader: DataLoader) -> None:
    result = json.dumps(run_action(NAME, arguments), default=str)
    values = loader.load_from_file(str(Path(arguments["state_dir"]) / "secrets.yml"))
    assert not {secret for secret in secrets_in(values) if secret in result}


def test_a_wrong_password_is_one_clear_line(run_action: Run, arguments: dict[str, Any], loader: DataLoader) -> None:
    run_action(NAME, arguments)
    wrong: list[Any] = [("default", VaultSecret(b"wrong"))]
    loader.set_vault_secrets(wrong)
    result = run_action(NAME, arguments)
    assert result["failed"]
    assert result["msg"].startswith(f"no vault password that opens {arguments['state_dir']}/secrets.yml: put the")
    assert "\n" not in result["msg"]


def test_no_password_is_one_clear_line(run_action: Run, arguments: dict[str, Any], loader: DataLoader) -> None:
    loader.set_vault_secrets([])
    result = run_action(NAME, arguments)
    assert result["failed"]
    assert "no vault password to encrypt" in result["msg"]


def test_a_state_dir_that_cannot_be_made_is_one_clear_line(
    run_action: Run, arguments: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = run_action(NAME, {**arguments, "state_dir": str(tmp_path / "file")})
    assert result["failed"]
    assert "file/secrets.yml cannot be" in result["msg"]
