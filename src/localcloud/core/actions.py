"""Actions: work that takes time, done in threads and stored before it begins.

An action's work can be repeated from its beginning: it reads what it needs from the store, and every call of the
backend is idempotent. So a crash needs no more care than running the unfinished actions again, which `resume` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from localcloud.core.backend import FAILURES, Backend, BackendError
from localcloud.core.commands import Commands
from localcloud.core.model import Action, Reference
from localcloud.core.store import State, Store

_log = logging.getLogger(__name__)
_AT_ONCE = 16

type Failure = tuple[str, str]  # code and message
type Step = tuple[str, Sequence[Reference]]  # a command and the resources it works on


class LockedError(Exception):
    """A resource has an unfinished action already."""

    def __init__(self, kind: str, id_: int, busy: Action) -> None:
        super().__init__(f"{kind} {id_} is locked by the running action {busy.command} {busy.id}")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin(state: State, project: str, *steps: Step, argument: int = 0) -> list[Action]:
    """Store actions that are to run one after the other; raises LockedError if a resource is being worked on."""
    for ref in {ref for _, refs in steps for ref in refs}:
        if busy := state.busy(ref.type, ref.id):
            raise LockedError(ref.type, ref.id, busy)
    actions = [
        Action(state.new_id(), project, command, tuple(refs), started=now(), argument=argument)
        for command, refs in steps
    ]
    state.actions.update({action.id: action for action in actions})
    return actions


def record_done(state: State, project: str, command: str, *refs: Reference, error: Failure | None = None) -> Action:
    """Store an action that is already done, with how it ended."""
    action = _ended(Action(state.new_id(), project, command, refs, started=now()), error)
    state.actions[action.id] = action
    return action


def _ended(action: Action, error: Failure | None) -> Action:
    return replace(action, status="error" if error else "success", error=error, finished=now())


def _report(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()):
        _log.error("work in the background failed", exc_info=error)


class Actions:
    """Runs stored actions and records how they ended."""

    def __init__(self, store: Store, backend: Backend) -> None:
        self.commands = Commands(store, backend)
        self._store = store
        self._backend = backend
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="action")

    def submit(self, actions: Sequence[Action]) -> None:
        """Run the actions in order, in the background; when one fails, so do those after it."""
        self._in_background(self._run_in_order, actions)

    def run(self, action: Action) -> Action:
        """Run one action here and now; return it finished."""
        error: Failure | None = None
        try:
            self.commands.carry_out(action)
        except FAILURES as failure:
            error = ("action_failed", str(failure))
        except Exception:
            _log.exception("action %s %s", action.command, action.id)
            error = ("server_error", "the local cloud has a fault; its log says more")
        return self._finish(action, error)

    def resume(self) -> None:
        """Restore what was wanted when the program ended: filters, unfinished actions, power."""
        try:
            self.commands.enforce_firewalls()
        except BackendError:
            _log.exception("the firewalls cannot be enforced; no server starts before they are")
        state = self._store.state
        jobs = {Reference("server", id_): list[Action]() for id_ in state.servers}
        for action in state.actions.values():
            if action.status == "running":
                servers = [ref for ref in action.resources if ref.type == "server"]
                jobs.setdefault((servers or action.resources)[0], []).append(action)
        for ref, actions in jobs.items():
            self._in_background(self._resume, ref, actions)
        self._in_background(self.commands.delete_forgotten_images)

    def _resume(self, ref: Reference, actions: Sequence[Action]) -> None:
        self._run_in_order(actions)
        going_down = bool(actions) and actions[-1].command == "shutdown_server"
        with self._store.change() as state:
            server = state.servers.get(ref.id)
            if server is None or state.busy(ref.type, ref.id):
                return
            running = server.id in self._backend.running()
            if server.wanted == "running" and not running and self._backend.powered_off(server.id):
                server = state.servers[server.id] = replace(server, wanted="off")
            if going_down or (server.wanted == "off" and not running):
                return
            command = "start_server" if server.wanted == "running" else "stop_server"
            actions = begin(state, server.project, (command, [ref]))
        self._run_in_order(actions)

    def close(self) -> None:
        """Wait for running work; queued work stays stored, for `resume`."""
        self._pool.shutdown(cancel_futures=True)

    def _in_background[*A](self, work: Callable[[*A], None], *arguments: *A) -> None:
        self._pool.submit(work, *arguments).add_done_callback(_report)

    def _run_in_order(self, actions: Sequence[Action]) -> None:
        failed: Action | None = None
        for action in actions:
            if failed:
                self._finish(action, ("action_failed", f"{failed.command} failed before it"))
            elif (finished := self.run(action)).error:
                failed = finished

    def _finish(self, action: Action, error: Failure | None) -> Action:
        finished = _ended(action, error)
        with self._store.change() as state:
            state.actions[action.id] = finished
        resources = ", ".join(f"{ref.type} {ref.id}" for ref in action.resources)
        _log.info("%s of %s: %s", action.command, resources, ": ".join(error) if error else "done")
        return finished
