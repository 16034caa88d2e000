"""Actions: all of a project, or those of one resource."""

from __future__ import annotations

from localcloud.api import views
from localcloud.api.call import Call, Handler, Reply
from localcloud.api.errors import invalid, not_found
from localcloud.core.model import Action


def list_by_id(call: Call) -> Reply:
    """`GET /actions?id=1&id=2`: what a client waits for, in one call."""
    wanted = call.query.getlist("id")
    if not wanted:
        raise invalid("id", "name the actions by their ids")
    return call.listing("actions", [each for each in _own(call) if str(each.id) in wanted], views.action)


def get(call: Call) -> Reply:
    return _one(_own(call), call.id)


def of_type(kind: str) -> Handler:
    return lambda call: call.listing("actions", _about(call, kind), views.action)


def one_of_type(kind: str) -> Handler:
    return lambda call: _one(_about(call, kind), call.ids["action"])


def of_resource(kind: str) -> Handler:
    return lambda call: call.listing("actions", _about(call, kind, call.id), views.action)


def one_of_resource(kind: str) -> Handler:
    return lambda call: _one(_about(call, kind, call.id), call.ids["action"])


def _own(call: Call) -> list[Action]:
    return [action for action in call.state.actions.values() if action.project == call.project]


def _about(call: Call, kind: str, id_: int | None = None) -> list[Action]:
    return [
        action for action in _own(call) if any(ref.type == kind and id_ in (None, ref.id) for ref in action.resources)
    ]


def _one(actions: list[Action], id_: int) -> Reply:
    for action in actions:
        if action.id == id_:
            return 200, {"action": views.action(action)}
    raise not_found(f"action with ID '{id_}'")
