"""Bring the GPU hosts to a wish, and show how; documented in plugins/modules/parrotpark_wish.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from parrotpark.control.wish_unit import FOLLOWED, NotFulfilled, Output, WishUnit, parse_poll
from parrotpark.shared.wish import Wish, WishError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "wish": {"type": "str", "required": True},
    "program": {"type": "path", "required": True},
}
POLL = 1.0  # seconds between two looks at the unit
MOST_FAILURES = 3  # failed looks in a row before giving up


class ActionModule(ActionBase):
    """Ansible's entry point."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(ARGUMENTS)
        host = (task_vars or {})["inventory_hostname"]
        try:
            unit = WishUnit(params["program"], Wish.parse(params["wish"]))
            if self._task.check_mode:
                output = Output.parse(self._execute(unit.plan()))
            else:
                output = self._follow(unit, host, another_run=FOLLOWED in self._execute(unit.start()).splitlines())
            changed, actions = output.report()
        except (WishError, NotFulfilled) as error:
            return {"failed": True, "msg": str(error)}
        diff = {"header": "the GPU hosts", "before": "", "after": "".join(f"{action}\n" for action in actions)}
        return {"changed": changed, "actions": actions, "diff": [diff]}

    def _follow(self, unit: WishUnit, host: str, *, another_run: bool) -> Output:
        """Show every new line of progress until the unit has ended; the program itself bounds how long that takes."""
        if another_run:
            Display().display(f"  [{host}] another run is working on the same wish: following it")
        shown = failures = 0
        while True:
            try:
                alive, output = parse_poll(self._execute(unit.poll()))
            except (AnsibleConnectionFailure, NotFulfilled) as error:
                failures += 1
                if failures == MOST_FAILURES:
                    raise type(error)(f"{error} ({unit.name} goes on: run this again to follow it)") from error
            else:
                failures = 0
                for line in output.progress[shown:]:
                    Display().display(f"  [{host}]{line}")
                shown = max(shown, len(output.progress))
                if not alive:
                    return output
            time.sleep(POLL)

    def _execute(self, script: str) -> str:
        """Run a script on the host, through stdin: then ssh makes no terminal that would mix errors into the output."""
        result = self._low_level_execute_command("/bin/sh", in_data=script.encode())
        if result["rc"] != 0:
            said = (result["stdout"] + result["stderr"]).strip().splitlines()
            raise NotFulfilled(said[-1] if said else f"a command on the host ended with exit status {result['rc']}")
        return str(result["stdout"])
