"""The Hetzner Cloud API v1 as far as Parrotpark uses it. What it lacks it refuses with the API's own errors.

Handlers are plain functions from `Call` to `Reply` and run in a thread each, so they may wait for the backend.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NoReturn

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.api import actions, firewalls, images, offers, primary_ips, servers, ssh_keys, volumes
from localcloud.api.call import Call, Handler, Json, Reply
from localcloud.api.errors import ApiError, too_many, unauthorized
from localcloud.api.rate_limit import RateLimits
from localcloud.core.actions import Actions, LockedError
from localcloud.core.backend import Backend, BackendError
from localcloud.core.store import Store

type Routes = list[tuple[str, str, Handler]]  # method, path below /v1, handler


class _Id(Convertor[int]):
    """An id in a path. Starlette's own `int` raises ValueError for a number of 5000 digits."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Id())

type Endpoint = Callable[[Request], Awaitable[Response]]

# Kinds of resources that this cloud does not have.
_NONE = (
    "certificates",
    "floating_ips",
    "isos",
    "load_balancer_types",
    "load_balancers",
    "networks",
    "placement_groups",
    "zones",
)

_ROUTES: Routes = [
    ("GET", "/actions", actions.list_by_id),
    ("GET", "/actions/{id:id}", actions.get),
    ("GET", "/locations", offers.locations),
    ("GET", "/locations/{id:id}", offers.location),
    ("GET", "/server_types", offers.server_types),
    ("GET", "/server_types/{id:id}", offers.server_type),
    ("GET", "/pricing", offers.pricing),
    ("GET", "/datacenters", offers.datacenters),
    ("GET", "/datacenters/{id:id}", offers.datacenters),
    ("GET", "/servers", servers.list_all),
    ("POST", "/servers", servers.create),
    ("GET", "/servers/{id:id}", servers.get),
    ("PUT", "/servers/{id:id}", servers.update),
    ("DELETE", "/servers/{id:id}", servers.delete),
    ("POST", "/servers/{id:id}/actions/poweron", servers.power_on),
    ("POST", "/servers/{id:id}/actions/poweroff", servers.power_off),
    ("POST", "/servers/{id:id}/actions/shutdown", servers.shutdown),
    ("POST", "/servers/{id:id}/actions/reboot", servers.reboot),
    ("POST", "/servers/{id:id}/actions/reset", servers.reset),
    ("POST", "/servers/{id:id}/actions/rebuild", servers.rebuild),
    ("POST", "/servers/{id:id}/actions/create_image", servers.create_image),
    ("POST", "/servers/{id:id}/actions/change_protection", servers.change_protection),
    ("GET", "/ssh_keys", ssh_keys.list_all),
    ("POST", "/ssh_keys", ssh_keys.create),
    ("GET", "/ssh_keys/{id:id}", ssh_keys.get),
    ("PUT", "/ssh_keys/{id:id}", ssh_keys.update),
    ("DELETE", "/ssh_keys/{id:id}", ssh_keys.delete),
    ("GET", "/firewalls", firewalls.list_all),
    ("POST", "/firewalls", firewalls.create),
    ("GET", "/firewalls/{id:id}", firewalls.get),
    ("PUT", "/firewalls/{id:id}", firewalls.update),
    ("DELETE", "/firewalls/{id:id}", firewalls.delete),
    ("POST", "/firewalls/{id:id}/actions/set_rules", firewalls.set_rules),
    ("POST", "/firewalls/{id:id}/actions/apply_to_resources", firewalls.apply_to_resources),
    ("POST", "/firewalls/{id:id}/actions/remove_from_resources", firewalls.remove_from_resources),
    ("GET", "/volumes", volumes.list_all),
    ("POST", "/volumes", volumes.create),
    ("GET", "/volumes/{id:id}", volumes.get),
    ("PUT", "/volumes/{id:id}", volumes.update),
    ("DELETE", "/volumes/{id:id}", volumes.delete),
    ("POST", "/volumes/{id:id}/actions/attach", volumes.attach),
    ("POST", "/volumes/{id:id}/actions/detach", volumes.detach),
    ("POST", "/volumes/{id:id}/actions/resize", volumes.resize),
    ("POST", "/volumes/{id:id}/actions/change_protection", volumes.change_protection),
    ("GET", "/primary_ips", primary_ips.list_all),
    ("POST", "/primary_ips", primary_ips.create),
    ("GET", "/primary_ips/{id:id}", primary_ips.get),
    ("PUT", "/primary_ips/{id:id}", primary_ips.update),
    ("DELETE", "/primary_ips/{id:id}", primary_ips.delete),
    ("POST", "/primary_ips/{id:id}/actions/assign", primary_ips.assign),
    ("POST", "/primary_ips/{id:id}/actions/unassign", primary_ips.unassign),
    ("POST", "/primary_ips/{id:id}/actions/change_protection", primary_ips.change_protection),
    ("GET", "/images", images.list_all),
    ("GET", "/images/{id:id}", images.get),
    ("PUT", "/images/{id:id}", images.update),
    ("DELETE", "/images/{id:id}", images.delete),
    ("POST", "/images/{id:id}/actions/change_protection", images.change_protection),
    *(("GET", f"/{key}", offers.none_of(key)) for key in _NONE),
    *(
        ("GET", path, handler)
        for kind in ("server", "firewall", "volume", "primary_ip", "image")
        for path, handler in (
            (f"/{kind}s/actions", actions.of_type(kind)),
            (f"/{kind}s/actions/{{action:id}}", actions.one_of_type(kind)),
            (f"/{kind}s/{{id:id}}/actions", actions.of_resource(kind)),
            (f"/{kind}s/{{id:id}}/actions/{{action:id}}", actions.one_of_resource(kind)),
        )
    ),
]


def create_app(store: Store, backend: Backend, tokens: Mapping[str, str], rates: RateLimits | None = None) -> Starlette:
    """Make the API for the projects that `tokens` maps secrets to; as it starts, it resumes what a crash interrupted.

    `app.state.actions` are its `Actions`, for the supervisor of the machines.
    """
    runner = Actions(store, backend)
    rates = rates or RateLimits()

    def endpoint(handler: Handler) -> Endpoint:
        async def answer(request: Request) -> Response:
            project = _project(request, tokens)
            allowance = rates.take(project)
            try:
                if not allowance.granted:
                    raise too_many(allowance.limit)
                call = Call(
                    project=project,
                    ids=request.path_params,
                    query=request.query_params,
                    body=_object(await request.body()),
                    store=store,
                    backend=backend,
                    actions=runner,
                )
                status, body = await run_in_threadpool(_answer, handler, call)
                response = Response(status_code=status) if body is None else JSONResponse(body, status)
            except ApiError as error:
                response = _envelope(request, error)
            response.headers.update(allowance.headers)
            return response

        return answer

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(runner.resume)
        yield
        await run_in_threadpool(runner.close)

    app = Starlette(
        routes=[Route(f"/v1{path}", endpoint(handler), methods=[method]) for method, path, handler in _ROUTES],
        exception_handlers={ApiError: _envelope, HTTPException: _unrouted, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.actions = runner
    return app


def _project(request: Request, tokens: Mapping[str, str]) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    for token, project in tokens.items():
        if scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), secret.encode()):
            return project
    raise unauthorized()


def _object(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}", parse_constant=_refuse_constant)
        # Half a surrogate pair could be stored, but never be written into an answer again.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ApiError(400, "json_error", "the body is not a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _answer(handler: Handler, call: Call) -> Reply:
    try:
        return handler(call)
    except LockedError as error:
        raise ApiError(423, "locked", str(error)) from None
    except BackendError as error:
        raise ApiError(503, "unavailable", str(error)) from error


def _envelope(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status)


def _unrouted(request: Request, error: Exception) -> Response:
    """Refuse paths and methods that are not in the table of routes."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _envelope(request, ApiError(405, "method_not_allowed", f"{request.method} is not offered here"))
    return _envelope(request, ApiError(404, "not_found", f"{request.url.path} is not offered here"))


def _fault(request: Request, _error: Exception) -> Response:
    """Answer after a fault of ours; Starlette logs it."""
    return _envelope(request, ApiError(500, "server_error", "the local cloud has a fault; its log says more"))
