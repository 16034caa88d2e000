"""Keep a realm of Keycloak as it is declared; documented in plugins/modules/parrotpark_realm.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from parrotpark.control import realm
from parrotpark.shared import keycloak

ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "auth_realm": {"type": "str", "default": "master"},
    "client_id": {"type": "str", "required": True},
    "client_secret": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path"},
    "declared": {"type": "dict", "required": True},
}
SIGN_IN = ("url", "auth_realm", "client_id", "client_secret", "ca_file")


class Refused(Exception):
    """Keycloak refused a call; the message says which, and why."""


class Unreachable(Exception):
    """Nothing that is a Keycloak answers."""


@dataclass(frozen=True, slots=True)
class Host:
    """The Keycloak that a host reaches."""

    sign_in: dict[str, Any]
    execute: Callable[[bytes], str]

    def ask(self, calls: Sequence[realm.Call]) -> list[Any]:
        request = json.dumps({**self.sign_in, "calls": [asdict(call) for call in calls]})
        program = Path(keycloak.__file__).read_text()
        said = json.loads(self.execute(f"{program}\nprint(json.dumps(run(json.loads({request!r}))))\n".encode()))
        if "unreachable" in said:
            raise Unreachable(said["unreachable"])
        if "refused" in said:
            raise Refused(said["refused"])
        return list(said["answers"])


class Nothing:
    """What a plan of a bare host meets."""

    def ask(self, calls: Sequence[realm.Call]) -> list[Any]:
        return [None for _ in calls]


class ActionModule(ActionBase):
    """Ansible's entry point."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(ARGUMENTS)
        host = Host({key: params[key] for key in SIGN_IN}, self._execute)
        try:
            differences = self._keep(host, params["declared"])
        except (Refused, Unreachable, realm.NotKept) as error:
            return {"failed": True, "msg": str(error)}
        before = "".join(each.line(each.found) for each in differences if each.found is not None)
        after = "".join(each.line(each.wanted) for each in differences)
        header = f"the realm {params['declared']['realm']['realm']}"
        diff = {"before_header": header, "after_header": header, "before": before, "after": after}
        return {"changed": bool(differences), "diff": [diff]}

    def _keep(self, host: Host, declared: dict[str, Any]) -> list[realm.Difference]:
        if not self._task.check_mode:
            return realm.keep(host, declared)
        try:
            return realm.keep(host, declared, check=True)
        except Unreachable as error:
            self._display.warning(f"{error}; the plan takes it that there is none yet")
            return realm.keep(Nothing(), declared, check=True)

    def _execute(self, program: bytes) -> str:
        """Run a program on the host."""
        result = self._low_level_execute_command("/usr/bin/python3 -I -", in_data=program)
        if result["rc"] != 0:
            said = (result["stdout"] + result["stderr"]).strip().splitlines()
            raise Refused(said[-1] if said else f"python3 on the host ended with exit status {result['rc']}")
        return str(result["stdout"])
