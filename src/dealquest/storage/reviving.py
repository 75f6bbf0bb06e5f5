"""A transport that brings its embedded server back when it died, and asks once more where nothing was sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread

from dealquest.errors import PeerUnavailableError
from dealquest.values import Clock
from dealquest.wire import HttpRequest, HttpResponse, HttpStream, Transport

PAUSE_S = 2.0
"""Least time between two revivals: a server that dies at once is not started in a loop."""


class Reviver:
    """Brings one server back; shared by all transports to it, so that it is started once.

    Args:
        revive: Starts the server if it is down; whether it answers now. Runs in a worker thread.
        clock: For the pause between revivals.
    """

    def __init__(self, revive: Callable[[], bool], clock: Clock) -> None:
        self._revive = revive
        self._clock = clock
        self._reviving = anyio.Lock()
        self._revived_at = -PAUSE_S

    async def is_back(self) -> bool:
        """Whether it is worth asking once more."""
        async with self._reviving:
            if self._clock.monotonic() - self._revived_at < PAUSE_S:
                return True  # somebody else has just done it
            back = await to_thread.run_sync(self._revive)
            self._revived_at = self._clock.monotonic()
            return back


class RevivingTransport:
    """Wraps the engine's transport over an embedded server.

    Args:
        inner: The engine bound to a principal.
        reviver: What brings the server back.
    """

    def __init__(self, inner: Transport, reviver: Reviver) -> None:
        self._inner = inner
        self._reviver = reviver

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send; after a failed connect, once more."""
        try:
            return await self._inner.send(request)
        except PeerUnavailableError as exc:
            if exc.code != "wire.connect" or not await self._reviver.is_back():
                raise
        return await self._inner.send(request)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        """As the wrapped transport does it."""
        async with self._inner.stream(request) as answer:
            yield answer
