"""The engine as a `Transport`: requests of this process, answered without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import attrs

from dealquest.errors import LimitError, PeerUnavailableError
from dealquest.wire import Headers, HttpRequest, HttpResponse

from .identity import Identity
from .incoming import Incoming, read_head


class Answering(Protocol):
    """What the transport needs of an engine."""

    async def answer(self, incoming: Incoming, identity: Identity) -> HttpResponse:
        """Answer one request as an identity."""
        ...


class EngineTransport:
    """Answers requests as one identity. URLs are a path with query, such as `/users?id=eq.1`."""

    def __init__(self, engine: Answering, identity: Identity) -> None:
        self._engine = engine
        self._identity = identity

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer a request.

        Raises:
            PeerUnavailableError: `wire.connect` when PostgreSQL was not reached, `wire.broken` when the connection was lost midway.
            LimitError: `wire.timeout` when `timeout_s` is over, `wire.too_large` when the answer is larger than `max_bytes`.
        """
        body = request.body if isinstance(request.body, bytes) else b"".join([chunk async for chunk in request.body])
        path, _, query = request.url.partition("?")
        incoming = Incoming(request.method, path, query, read_head(request.headers), body, request.timeout_s)
        try:
            response = await self._engine.answer(incoming, self._identity)
        except PeerUnavailableError as exc:
            code = "wire.connect" if exc.code == "engine.connect" else "wire.broken"
            raise PeerUnavailableError(exc.message, code=code) from exc
        except TimeoutError as exc:
            raise LimitError(f"The database did not answer within {request.timeout_s:g} s.", code="wire.timeout", retryable=True) from exc
        if len(response.body) > request.max_bytes:
            raise LimitError(f"The answer is larger than {request.max_bytes} bytes.", code="wire.too_large")
        return response

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator["_WholeStream"]:
        """Answer a request whole, shown as a stream: PostgreSQL renders an answer in one piece."""
        yield _WholeStream(await self.send(request))


@attrs.frozen
class _WholeStream:
    """An answer that has already arrived."""

    _response: HttpResponse

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Headers:
        """The answer's headers."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in one piece."""
        yield self._response.body

    async def read(self) -> bytes:
        """The body."""
        return self._response.body
