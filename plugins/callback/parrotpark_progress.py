"""Say in one line per step what a run does; everything else that Ansible says goes to the log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult
from ansible.playbook.task import Task
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.display import Display

from parrotpark.shared.clock import SystemClock
from parrotpark.shared.history import History
from parrotpark.shared.progress import Progress

DOCUMENTATION = r"""
name: parrotpark_progress
type: stdout
short_description: One line per step
description:
  - Shows each play, and each role in it, in one line with the seconds since the run began and how long that step
    usually takes; messages of the module M(ansible.builtin.debug); failures as the default callback shows them.
  - Everything that the default callback would show goes to Ansible's log, E(ANSIBLE_LOG_PATH).
author: Parrotpark
extends_documentation_fragment: [default_callback, result_format_callback]
options:
  durations:
    description: File in which it records how long the steps took.
    type: path
    default: .ansible/durations.jsonl
    env: [{name: PARROTPARK_DURATIONS}]
"""


class _LogOnly:
    """A display that writes to the log and never to the screen."""

    def __init__(self, screen: Display) -> None:
        self._screen = screen

    def display(self, msg: str, color: str | None = None, screen_only: bool = False, **_: Any) -> None:
        if not screen_only:
            self._screen.display(msg, color, log_only=True)

    def banner(self, msg: str, color: str | None = None, **_: Any) -> None:
        self.display(f"\n{msg}", color)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._screen, name)


class CallbackModule(DefaultCallback):
    """Ansible's entry point."""

    CALLBACK_NAME = "parrotpark_progress"

    _play: Any

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._screen: Display = self._display
        self._display: Any = _LogOnly(self._screen)
        self._clock = SystemClock()
        self._step, self._since = "", 0.0

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._progress = Progress(self._clock, History(Path(self.get_option("durations"))), self._say)
        super().v2_playbook_on_start(playbook)  # type: ignore[no-untyped-call]

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        super()._task_start(task, prefix)  # type: ignore[no-untyped-call]
        role, step = task._role, str(self._play.get_name())
        if role:
            step += f": {role.get_name()}"
        if step != self._step:
            self._finish_step()
            self._step, self._since = step, self._clock.now()
            self._progress.say(step, step)

    def _finish_step(self) -> None:
        if self._step:
            self._progress.took(self._step, self._clock.now() - self._since)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        super().v2_runner_on_ok(result)
        if result.task.action in constants._ACTION_DEBUG and "msg" in result.result:
            self._say(f"         {result.result['msg']}")

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        with self._shown():
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        with self._shown():
            super().v2_runner_item_on_failed(result)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        with self._shown():
            super().v2_runner_on_unreachable(result)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        super().v2_playbook_on_stats(stats)  # type: ignore[no-untyped-call]
        failed = {host for host in stats.processed if stats.summarize(host)["failures"] or host in stats.dark}
        if not failed:  # the duration of a failed step says nothing
            self._finish_step()
        for host in sorted(stats.processed):
            changed = stats.summarize(host)["changed"]
            said = "failed" if host in failed else f"{changed} changed" if changed else "nothing changed"
            self._say(f"         {host}: {said}")
        if failed:
            log = constants.config.get_config_value("DEFAULT_LOG_PATH")
            self._say(f"Fix what it says above and run the same command again. The whole log: {log}")

    @contextmanager
    def _shown(self) -> Iterator[None]:
        quiet, self._display = self._display, self._screen
        try:
            yield
        finally:
            self._display = quiet

    def _say(self, line: str) -> None:
        self._screen.display(line)
        sys.stdout.flush()
