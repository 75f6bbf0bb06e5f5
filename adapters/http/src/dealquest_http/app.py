"""The application: rooms of routes behind the guards.

A room is a module or a folder that gives one function, and this file lists the rooms:

    def routes(shared: Shared) -> list[BaseRoute]: ...

A route is an `async def name(request: Request) -> Response`. Inside it
  * `shared_of(request)` gives the shared parts (`shared.py`): the kit, tokens, keys, settings, clock;
  * `await caller_of(request)` or `await require(request, "authenticated")` gives the proven `Caller` (`callers.py`);
  * `await read_json(request, SomeStruct)` gives the checked body (`bodies.py`);
  * `answer_json(...)` answers (`answers.py`); what is wrong is *raised* as one of the house's errors, and
    `answers.answer_error` makes the envelope of it. A code whose status differs from its class's gets a line in
    `answers.SHOWN`, and every code one in `docs/errors/http.md`.
Background work belongs to the kit's owner; a room opens nothing that must be closed.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from dealquest.compose import Kit
from dealquest.errors import DealQuestError

from . import accounts, ai, coach, functions, health, mini_app, records
from .answers import BY_STATUS, OUR_FAULT, answer_error, refuse
from .guards import AccessLog, BodyLimit, Cors, HeadCheck, RateLimit
from .openapi import openapi_route
from .shared import Shared, open_shared

LOG = logging.getLogger(__name__)

Room: TypeAlias = Callable[[Shared], list[BaseRoute]]

ROOMS: Sequence[Room] = (
    health.routes,
    accounts.routes,
    records.routes,
    functions.routes,
    ai.routes,
    coach.routes,
    mini_app.routes,
)


def create_app(kit: Kit) -> ASGIApp:
    """An ASGI application over an open kit; the kit stays the caller's to close.

    Args:
        kit: Its engine answers records and functions; without one they are passed on to the remote records.

    Raises:
        SettingsError: `http.jwt_secret`, `auth.secret.*`.
    """
    shared = open_shared(kit)
    handlers = {DealQuestError: _refused, HTTPException: _not_routed, ClientDisconnect: _gone, Exception: _failed}
    routes = [route for room in ROOMS for route in room(shared)]
    routed = Starlette(routes=[*routes, openapi_route(routes)], exception_handlers=handlers)
    routed.router.redirect_slashes = False
    routed.state.shared = shared
    settings = kit.settings
    app: ASGIApp = BodyLimit(routed, max_bytes=settings.http_max_body_bytes)
    app = RateLimit(app, clock=kit.clock, limit=settings.http_request_limit)
    app = Cors(app, origins=settings.http_cors_origins)
    return AccessLog(HeadCheck(app), clock=kit.clock, trusted_hops=settings.http_trusted_hops)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, DealQuestError)
    answer = answer_error(error)
    if answer.status_code >= 500:
        LOG.warning("request %s: %s (%s)", request.state.request_id, error.message, error.code)
    return answer


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    message = {404: f"There is nothing at {path}.", 405: f"{request.method} is not answered at {path}."}.get(
        error.status_code, error.detail
    )
    return refuse(error.status_code, BY_STATUS.get(error.status_code, "INTERNAL_ERROR"), message, headers=error.headers)


async def _gone(_: Request, __: Exception) -> Response:
    return refuse(400, "INVALID_INPUT", "The caller left before its body was complete.")


async def _failed(request: Request, error: Exception) -> Response:
    """A defect of ours: the server logs the traceback after this line, the caller gets the id."""
    LOG.error("request %s: %s", request.state.request_id, type(error).__name__)
    return refuse(500, "INTERNAL_ERROR", OUR_FAULT)
