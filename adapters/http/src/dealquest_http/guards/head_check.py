"""Heads with two readings are refused: what one proxy takes the first of, the next takes the last of.

The same goes for paths: an encoded slash, an empty or a dot segment means one thing to a proxy's rules and another to our routes.

Two Content-Lengths, or one beside a Transfer-Encoding, are refused by the parser before they come here.
Source: RFC 9112 sections 3.2 and 6.3 (Host, message length), read 2026-11-22.
"""

import re
from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from dealquest.errors import InputError
from dealquest_http.answers import answer_error

ONCE = frozenset({b"authorization", b"content-length", b"content-type", b"host", b"x-api-key", b"x-csrf-token"})


_ODD_PATH = re.compile(rb"//|/\.\.?(?:/|$)|%2[fF]|%5[cC]|%2[eE]|%00|\\\\")
_NAMED_PARTS = b"/api/storage/buckets/"
"""Below it the names of objects stand, whose slashes the clients encode."""


class HeadCheck:
    """Refuses a head that names a header twice which has one meaning, HTTP/1.1 without a Host, and a path with two readings."""

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
            raw = scope.get("raw_path") or b""
            path = raw.partition(b"?")[0]
            if _ODD_PATH.search(path) and not path.startswith(_NAMED_PARTS):
                message = "The path has an empty, a dot or an encoded segment; send it plainly."
                await answer_error(InputError(message, code="http.head"))(scope, receive, send)
                return
        await self._app(scope, receive, send)
