"""Bodies that are too large or too slow, and readers that stopped reading, are ended while they stream.

Size is counted as it arrives; what Content-Length says is believed only if it is already too much. A body
has `STALL_S` seconds plus the time its bytes take at `LEAST_BYTES_S`; a reader has `STALL_S` for each piece.
Heads are older than any ASGI application and are guarded in `protocol.py`.
"""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dealquest.errors import LimitError
from dealquest_http.answers import answer_error

STALL_S = 30.0
LEAST_BYTES_S = 16 * 1024


class BodyLimit:
    """Raises `LimitError` into the route that reads too much, or waits too long.

    Args:
        app: What is guarded.
        max_bytes: Largest body.
        stall_s: Seconds that a body or a reader may stand still.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, stall_s: float = STALL_S) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced[:20]) > self._max_bytes:
            await answer_error(self._too_large())(scope, receive, send)
            return
        size, complete, deadline = 0, False, anyio.current_time() + self._stall_s

        async def counted() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()  # the wait for the caller's leaving has no limit
            with anyio.CancelScope(deadline=deadline + size / LEAST_BYTES_S):
                message = await receive()
                size += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if size > self._max_bytes:
                    raise self._too_large()
                return message
            raise LimitError("The body came too slowly; send it in one go.", code="http.body.slow", retryable=True)

        async def hurried(message: Message) -> None:
            with anyio.move_on_after(self._stall_s) as scope_:
                await send(message)
            if scope_.cancelled_caught:
                raise LimitError("The caller stopped reading its answer.", code="http.reader.slow")

        await self._app(scope, counted, hurried)

    def _too_large(self) -> LimitError:
        return LimitError(f"The body is larger than {self._max_bytes} bytes.", code="http.body.too_large")
