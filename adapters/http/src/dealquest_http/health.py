"""`GET /api/health`: the keys that the clients know, and the true state of each part."""

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest import __version__
from dealquest.errors import DealQuestError

from .answers import answer_json
from .shared import Shared, shared_of

SERVICE = "dealquest"
PATIENCE_S = 5.0


def routes(_: Shared) -> list[BaseRoute]:
    """The routes of this room."""
    return [Route("/api/health", health, methods=["GET"])]


async def health(request: Request) -> Response:
    """200 when every part that is needed works, 503 otherwise; the codes of `components` are ours."""
    shared = shared_of(request)
    kit = shared.kit
    database = "slow"
    with anyio.move_on_after(PATIENCE_S):
        database = await _state_of_records(shared)
    body = {
        "status": "ok" if database == "ok" else "degraded",
        "version": __version__,
        "service": SERVICE,
        "timestamp": shared.clock.now(),
        "components": {
            "database": database,
            "model": "ok" if kit.llm is not None else "off",
            "telegram": "ok" if shared.settings.telegram_bot_token is not None else "off",
        },
    }
    return answer_json(body, status=200 if database == "ok" else 503)


async def _state_of_records(shared: Shared) -> str:
    try:
        await shared.kit.records.table("users").select("id").limit(1).all()
    except DealQuestError as exc:
        return exc.code
    return "ok"
