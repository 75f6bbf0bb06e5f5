"""The edge functions that the Mini App calls, as native handlers: `/functions/{slug}`."""

import math
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import DealQuestError
from dealquest_http.answers import answer_json, status_of
from dealquest_http.described import describe
from dealquest_http.shared import Shared

from .db_proxy import Query, db_proxy
from .verify_telegram import Opening, VerifyTelegram

__all__ = ["routes"]

Handler = Callable[[Request], Awaitable[Response]]


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room."""
    return [
        Route("/functions/db-proxy", describe(takes=Query, guard="user")(_answering(db_proxy)), methods=["POST"]),
        Route("/functions/verify-telegram", describe(takes=Opening)(_answering(VerifyTelegram.of(shared))), methods=["POST"]),
        Route("/functions/{slug}", _unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def _answering(handler: Handler) -> Handler:
    """The handler, with its errors as functions answer them: `{error: text}`."""

    @wraps(handler, assigned=("__doc__",), updated=())
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except DealQuestError as exc:
            status, name = status_of(exc)
            headers = {} if exc.retry_after_s is None else {"retry-after": str(max(1, math.ceil(exc.retry_after_s)))}
            return answer_json({"error": exc.message, "code": name, "statusCode": status}, status=status, headers=headers)

    return answered


async def _unknown(_: Request) -> Response:
    """A function that is not here."""
    return answer_json({"error": "Function not found or not active"}, status=404)
