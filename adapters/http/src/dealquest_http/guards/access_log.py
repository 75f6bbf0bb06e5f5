"""Gives each request an id and an address, and writes one JSON line when it is answered.

The line holds method, path, status, bytes, milliseconds and address; never a header, a query or a body,
because keys travel there. An id that the caller sent is kept if it is plain.
"""

import logging
import re
import uuid

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dealquest.values import Clock

from .addresses import client_address

LOG = logging.getLogger("dealquest.http.access")
MAX_PATH = 256
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class AccessLog:
    """The outermost guard.

    Args:
        app: What is guarded.
        clock: For instants and durations.
        trusted_hops: Proxies whose X-Forwarded-For entry is believed.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, trusted_hops: int) -> None:
        self._app = app
        self._clock = clock
        self._trusted_hops = trusted_hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, with `state.request_id` and `state.client_address`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        given = next((value for name, value in headers if name == b"x-request-id"), b"")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex.encode()
        peer = scope.get("client")
        address = client_address(peer[0] if peer else None, headers, trusted_hops=self._trusted_hops)
        state = scope.setdefault("state", {})
        state["request_id"], state["client_address"] = request_id.decode(), address
        begun, status, sent_bytes = self._clock.monotonic(), 0, 0

        async def note(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [*message.get("headers", ()), (b"x-request-id", request_id), (b"x-content-type-options", b"nosniff")],
                }
            elif message["type"] == "http.response.body":
                sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if LOG.isEnabledFor(logging.INFO):
                line = {
                    "time": self._clock.now(),
                    "id": state["request_id"],
                    "method": scope["method"],
                    "path": _shown(scope["path"]),
                    "status": status,
                    "bytes": sent_bytes,
                    "ms": round((self._clock.monotonic() - begun) * 1000, 1),
                    "address": address,
                }
                LOG.info("%s", msgspec.json.encode(line).decode())


def _shown(path: str) -> str:
    """A path as one printable line: no escape sequence and no bidirectional mark reaches a terminal."""
    cut = path if len(path) <= MAX_PATH else path[:MAX_PATH] + "..."
    return cut if cut.isascii() and cut.isprintable() else ascii(cut)[1:-1]
