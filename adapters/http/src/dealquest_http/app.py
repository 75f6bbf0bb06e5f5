"""The routes: health, and the records and functions of the engine under the paths that the InsForge clients use.

Thin: who may do what is decided by the token's role and the database's policies, not here.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dealquest import __version__
from dealquest.compose import Kit
from dealquest.errors import DealQuestError

RECORDS = "/api/database/records"
FUNCTIONS = "/api/database/rpc"


def create_app(kit: Kit) -> Starlette:
    """An ASGI application over an open kit; the kit stays the caller's to close.

    Args:
        kit: Its engine answers records and functions; without one (remote records) only health is served.
    """

    async def health(_: Request) -> JSONResponse:
        database = await _database_state(kit)
        body = {
            "status": "ok" if database == "ok" else "degraded",
            "service": "dealquest",
            "version": __version__,
            "timestamp": kit.clock.now().isoformat().replace("+00:00", "Z"),
            "components": {"database": database, "model": "ok" if kit.llm is not None else "off"},
        }
        return JSONResponse(body, status_code=200 if database == "ok" else 503)

    async def not_found(request: Request, _: Exception) -> JSONResponse:
        return _refusal(404, "NOT_FOUND", f"There is nothing at {request.url.path[:200]}.")

    async def not_allowed(request: Request, _: Exception) -> JSONResponse:
        return _refusal(405, "INVALID_INPUT", f"{request.method} is not answered at {request.url.path[:200]}.")

    routes: list[Route | Mount] = [Route("/api/health", health, methods=["GET"])]
    if kit.engine is not None:
        engine = kit.engine.asgi
        routes += [Mount(RECORDS, app=engine), Mount("/api/database", app=_FunctionsOnly(engine))]
    return Starlette(routes=routes, exception_handlers={404: not_found, 405: not_allowed})


class _FunctionsOnly:
    """Lets `/rpc/...` through to the engine, whose own paths begin below `/api/database`."""

    def __init__(self, engine: ASGIApp) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(f"{FUNCTIONS}/"):
            refusal = _refusal(404, "NOT_FOUND", f"There is nothing at {scope['path'][:200]}.")
            await refusal(scope, receive, send)
            return
        await self._engine(scope, receive, send)


async def _database_state(kit: Kit) -> str:
    try:
        await kit.records.table("users").select("id").limit(1).all()
    except DealQuestError as exc:
        return exc.code
    return "ok"


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": code, "message": message, "statusCode": status, "nextActions": "See /api/health."}, status_code=status)
