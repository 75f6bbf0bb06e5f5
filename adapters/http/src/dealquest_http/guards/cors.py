"""Which pages of other origins may call: a list, never a reflection.

A listed origin may use cookies. `/functions/` takes its proof from a header alone, so pages of any
origin may call it, without cookies. Every pre-flight is answered, an unlisted origin without permission.
Source: Fetch standard, "CORS protocol", read 2026-11-22.
"""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
ALLOWED = (
    "accept, accept-profile, apikey, authorization, content-profile, content-type, prefer, range, range-unit, "
    "x-api-key, x-client-info, x-csrf-token, x-request-id"
)
EXPOSED = "content-range, location, preference-applied, retry-after, x-request-id"
DAY_S = "86400"
OPEN = "/functions/"


class Cors:
    """Answers pre-flights and marks answers.

    Args:
        app: What is guarded.
        origins: Origins that may call with cookies, in lower case.
    """

    def __init__(self, app: ASGIApp, *, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, marked."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        granted = self._grant(origin, scope["path"])
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            permission = {
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": ALLOWED,
                "access-control-max-age": DAY_S,
            }
            await Response(status_code=204, headers=granted | permission if granted else {"vary": "origin"})(scope, receive, send)
            return

        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A part below, such as the engine, may have an opinion of its own; the list is here.
                kept = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    if not name.lower().startswith(b"access-control-") and (name.lower(), value.lower()) != (b"vary", b"origin")
                ]
                own = {**granted, "access-control-expose-headers": EXPOSED} if granted else {}
                own["vary"] = "origin"
                message = {**message, "headers": [*kept, *((name.encode(), value.encode()) for name, value in own.items())]}
            await send(message)

        await self._app(scope, receive, mark)

    def _grant(self, origin: str, path: str) -> dict[str, str]:
        if origin.casefold() in self._origins:
            return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "vary": "origin"}
        if path.startswith(OPEN):
            return {"access-control-allow-origin": "*"}
        return {}
