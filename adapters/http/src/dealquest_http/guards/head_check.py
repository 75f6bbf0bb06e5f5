"""Heads with two readings are refused: what one proxy takes the first of, the next takes the last of.

Two Content-Lengths, or one beside a Transfer-Encoding, are refused by the parser before they come here.
Source: RFC 9112 sections 3.2 and 6.3 (Host, message length), read 2026-11-22.
"""

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from dealquest.errors import InputError
from dealquest_http.answers import answer_error

ONCE = frozenset({b"authorization", b"content-length", b"content-type", b"host", b"x-api-key", b"x-csrf-token"})


class HeadCheck:
    """Refuses a head that names a header twice which has one meaning, and HTTP/1.1 without a Host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] == "http":
            counts = Counter(name for name, _ in scope["headers"] if name in ONCE)
            twice = sorted(name.decode() for name, count in counts.items() if count > 1)
            if twice or (scope["http_version"] == "1.1" and b"host" not in counts):
                message = f"These headers may stand once only: {', '.join(twice)}." if twice else "The Host header is missing."
                await answer_error(InputError(message, code="http.head"))(scope, receive, send)
                return
        await self._app(scope, receive, send)
