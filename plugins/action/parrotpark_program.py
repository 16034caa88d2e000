"""Install a program of ours as one file; documented in plugins/modules/parrotpark_program.py."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from parrotpark.control import program

ARGUMENTS: dict[str, dict[str, Any]] = {
    "module": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "interpreter": {"type": "str", "default": program.INTERPRETER},
}


class ActionModule(ActionBase):
    """Ansible's entry point."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(ARGUMENTS)
        try:
            built = program.build(params["module"], params["interpreter"])
        except ImportError as error:
            return {"failed": True, "msg": f"there is no such program: {error}"}
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(built)
            result = self._copy(file.name, params, task_vars or {})
        if result.get("changed") and self._task.diff:
            # It is not text: say at least what it is made of.
            made_of = "".join(f"{path.relative_to(program.SOURCES)}\n" for path in program.sources(params["module"]))
            header = params["dest"]
            result["diff"] = [{"before_header": header, "after_header": header, "before": "", "after": made_of}]
        return result

    def _copy(self, built: str, params: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Put the file in place as the template module does with its result."""
        task = self._task.copy()
        task.args = {"src": built, "dest": params["dest"], "owner": "root", "group": "root", "mode": "0755"}
        task.args["validate"] = f"{params['interpreter']} %s --help"
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = copy.run(task_vars=task_vars)
        return result
