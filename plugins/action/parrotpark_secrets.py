"""Make the secrets that are missing; the options are documented in plugins/modules/parrotpark_secrets.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib
from ansible.plugins.action import ActionBase

from parrotpark.control.secrets import SECRETS_FILE, ssh_folder, store
from parrotpark.control.secrets.catalogue import SecretsError, fill_gaps, missing
from parrotpark.control.slots import NAME

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state_dir": {"type": "path", "required": True},
    "slots": {"type": "int", "required": True},
    "entry_names": {"type": "list", "elements": "str", "required": True},
    "bake_names": {"type": "list", "elements": "str", "default": []},
}

REMEDY = "put the one it was made with into the file that parrotpark_vault_password_file names"


class VaultCipher:
    """Encrypts with the vault password that this run was given."""

    def __init__(self, vault: VaultLib, path: Path) -> None:
        self._vault = vault
        self._path = path

    def encrypt(self, text: str) -> bytes:
        if not self._vault.secrets:
            raise SecretsError(f"no vault password to encrypt {self._path} with: {REMEDY}")
        return bytes(self._vault.encrypt(text))

    def decrypt(self, content: bytes) -> str:
        try:
            return bytes(self._vault.decrypt(content)).decode()
        except AnsibleError as error:
            raise SecretsError(f"no vault password that opens {self._path}: {REMEDY}") from error


class ActionModule(ActionBase):
    """Ansible's entry point."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(ARGUMENTS)
        state_dir = Path(params["state_dir"])
        path = state_dir / SECRETS_FILE
        slot_names = [NAME.format(number) for number in range(1, params["slots"] + 1)]
        check = self._task.check_mode
        try:
            cipher = VaultCipher(self._loader._vault, path)
            existing = store.read(path, cipher)
            filled = fill_gaps(existing, slot_names)
            if filled.made and not check:
                store.write(path, filled.values, cipher)
            keys = ssh_folder.host_keys(
                filled.values,
                entry_names=params["entry_names"],
                bake_names=params["bake_names"],
                slot_names=slot_names,
            )
            files = ssh_folder.update(state_dir / "ssh", filled.values, keys, check=check)
        except SecretsError as error:
            return {"failed": True, "msg": str(error)}
        except OSError as error:
            return {"failed": True, "msg": f"{error.filename} cannot be read or written: {error.strerror}"}
        return {
            "changed": bool(filled.made or files),
            "made": list(filled.made),
            "files": files,
            "planned": missing(existing, filled.values) if check else {},
            "diff": [{"header": str(path), "before": "", "after": "".join(f"{name}: made\n" for name in filled.made)}]
            + [{"header": str(state_dir / "ssh" / name), "before": "", "after": "written\n"} for name in files],
        }
