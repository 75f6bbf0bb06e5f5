"""Answers that are written while they are made, and work that ends when its caller leaves.

A server tells that a caller left only to whoever waits for it, so both helpers wait for it beside the work.
Source: ASGI 3.0, "HTTP disconnect"; HTML standard, "Server-sent events", read 2026-11-22.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
Push: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Sends one event."""

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
    """Server-sent events.

    Args:
        produce: Makes the events and pushes them; it mends its own errors, because the status is out.
        resources: What was opened for it; closed when the answer ends in whatever way, or was never begun.
        ends_with_caller: Whether `produce` is cancelled when the caller leaves; otherwise it goes on unheard.
        ping_s: Seconds of silence after which a comment keeps the connection open.
    """

    media_type = EVENT_STREAM

    def __init__(
        self,
        produce: Callable[[Push], Awaitable[None]],
        *,
        resources: AsyncExitStack | None = None,
        ends_with_caller: bool = True,
        ping_s: float = PING_S,
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._produce = produce
        self._resources = resources or AsyncExitStack()
        self._ends_with_caller = ends_with_caller
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the interface has it
        """Send the head and every event until the source ends or the caller leaves."""
        async with self._resources:
            try:
                await self._send_all(receive, send)
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None  # the work's own error; the group around it is our doing

    async def _send_all(self, receive: Receive, send: Send) -> None:
        lock = anyio.Lock()
        last, is_gone = anyio.current_time(), False

        async def write(content: bytes, *, more: bool = True) -> None:
            nonlocal last
            async with lock:
                last = anyio.current_time()
                if not is_gone:
                    await send({"type": "http.response.body", "body": content, "more_body": more})

        async def push(content: Mapping[str, Any]) -> None:
            await write(encode_event(content))

        async def ping() -> None:
            while True:
                await anyio.sleep(max(0.01, last + self._ping_s - anyio.current_time()))
                if anyio.current_time() - last >= self._ping_s:
                    await write(_PING)

        async def watch(cancelled: anyio.CancelScope) -> None:
            nonlocal is_gone
            await _leaving(receive)
            is_gone = True
            if self._ends_with_caller:
                cancelled.cancel()

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            group.start_soon(ping)
            await self._produce(push)
            await write(b"", more=False)
            group.cancel_scope.cancel()


def encode_event(content: Mapping[str, Any]) -> bytes:
    r"""One server-sent event.

    >>> encode_event({"chunk": "a\nb"})
    b'data: {"chunk":"a\\nb"}\n\n'
    """
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
