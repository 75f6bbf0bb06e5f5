"""Answers that are written while they are made, and work that ends when its caller leaves.

A server tells that a caller left only to whoever waits for it, so both helpers wait for it beside the work.
Source: ASGI 3.0, "HTTP disconnect"; HTML standard, "Server-sent events", read 2026-11-22.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

EVENT_STREAM = "text/event-stream"
PING_S = 15.0
_PING = b": \n\n"


async def unless_gone(request: Request, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call, and cancel it when the caller leaves first. The body must have been read.

    Raises:
        ClientDisconnect: The caller left; nobody reads an answer.
    """
    results: list[T] = []
    failures: list[Exception] = []

    async def work(scope: anyio.CancelScope) -> None:
        try:
            results.append(await call())
        except Exception as exc:  # noqa: BLE001  # handed to the caller below, out of the group
            failures.append(exc)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(work, group.cancel_scope)
        await _leaving(request.receive)
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]
    if not results:
        raise ClientDisconnect
    return results[0]


class EventStream(Response):
    """Server-sent events. The source is cancelled when the caller leaves, and closed in any case.

    Args:
        frames: What to send, piece by piece; it mends its own errors, because the status is out.
        resources: What was opened for it; closed when the answer ends in whatever way, or was never begun.
        ping_s: Seconds of silence after which a comment keeps the connection open.
    """

    media_type = EVENT_STREAM

    def __init__(self, frames: AsyncGenerator[bytes, None], *, resources: AsyncExitStack | None = None, ping_s: float = PING_S) -> None:
        super().__init__(headers={"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames
        self._resources = resources or AsyncExitStack()
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the interface has it
        """Send head and frames until the source ends or the caller leaves."""
        async with self._resources, aclosing(self._frames):
            await self._send_all(receive, send)

    async def _send_all(self, receive: Receive, send: Send) -> None:
        lock = anyio.Lock()
        last = anyio.current_time()

        async def push(content: bytes, *, more: bool = True) -> None:
            nonlocal last
            async with lock:
                last = anyio.current_time()
                await send({"type": "http.response.body", "body": content, "more_body": more})

        async def ping() -> None:
            while True:
                await anyio.sleep(max(0.01, last + self._ping_s - anyio.current_time()))
                if anyio.current_time() - last >= self._ping_s:
                    await push(_PING)

        async def watch(cancelled: anyio.CancelScope) -> None:
            await _leaving(receive)
            cancelled.cancel()

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            group.start_soon(ping)
            async for content in self._frames:
                await push(content)
            await push(b"", more=False)
            group.cancel_scope.cancel()


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
