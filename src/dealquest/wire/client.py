"""The edge to the network over httpx: the only file that imports it.

One request owns one lane: a connection pool of a single connection. A shared httpx pool walks all its
requests on every change, which collapses at some dozens of calls, and a cancelled call can cost it a
slot for good; a lane has nothing to walk and is thrown away when its request did not end well.
Redirects are never followed (a key would follow them), the environment's proxies are used only when
asked, answers are capped on the decoded side, and httpx's errors are mapped here.
Source: https://www.python-httpx.org/api/ (0.28), read 2026-11-22.
"""

import contextlib
import math
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Any, Self

import anyio
import httpcore
import httpx

from dealquest.errors import DealQuestError

from .decoding import BodyDecoder
from .edge import CONNECT_TIMEOUT_S, cannot_connect, cannot_send, connection_broke, not_http, not_in_time, with_own_headers
from .loops import is_trio_running
from .messages import Headers, HttpRequest, HttpResponse, find_header

IDLE_LANE_S = 30.0

_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_LANE_S)
_Origin = tuple[str, str, int | None]


class HttpxTransport:
    """A `Transport` over httpx, on asyncio and trio.

    Args:
        base_url: Prefix for requests whose URL is a path; comes from the operator, never from a request.
        headers: Sent with every request unless the request has its own; credentials belong here.
        trust_env: Whether HTTP_PROXY and its kin count. Off by default.
        max_lanes: Requests at one time; further ones wait, inside their own deadline.
    """

    def __init__(self, base_url: str = "", *, headers: Headers = (), trust_env: bool = False, max_lanes: int = 100) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = with_own_headers(headers)
        self._trust_env = trust_env
        self._slots = anyio.Semaphore(max_lanes, fast_acquire=True)
        self._free: dict[_Origin, deque[tuple[float, _Lane]]] = {}
        self._urls: dict[str, httpx.URL] = {}
        self._tls: ssl.SSLContext | None = None
        self._abandoned: list[_HttpxExchange] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._close_abandoned()
        lanes = [lane for free in self._free.values() for _, lane in free]
        self._free.clear()
        for lane in lanes:
            await lane.aclose()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and read the answer whole."""
        async with self.stream(request) as answer:
            body = await answer.read()
            return HttpResponse(status=answer.status, headers=answer.headers, body=body)

    def stream(self, request: HttpRequest) -> "_HttpxExchange":
        """Send, and read the answer as it arrives; leaving the context closes the connection."""
        return _HttpxExchange(self, request)

    async def _take_lane(self, url: httpx.URL) -> "_Lane":
        if self._abandoned:
            await self._close_abandoned()
        await self._slots.acquire()
        origin = (url.scheme, url.host, url.port)
        free = self._free.get(origin)
        return free.pop()[1] if free else _Lane(origin, self._tls_for(url), trust_env=self._trust_env)

    async def _return_lane(self, lane: "_Lane", *, usable: bool) -> None:
        self._slots.release()
        if not usable:
            with anyio.CancelScope(shield=True):
                await lane.aclose()
            return
        now = anyio.current_time()
        free = self._free.setdefault(lane.origin, deque())
        free.append((now, lane))
        if now - free[0][0] > IDLE_LANE_S:
            await free.popleft()[1].aclose()

    def _abandon(self, exchange: "_HttpxExchange") -> None:
        self._abandoned.append(exchange)

    async def _close_abandoned(self) -> None:
        while self._abandoned:
            await self._abandoned.pop().aclose()

    def _tls_for(self, url: httpx.URL) -> ssl.SSLContext:
        # Reading the certificate store takes tens of milliseconds: once, and only where TLS is spoken.
        if url.scheme != "https":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=self._trust_env)
        return self._tls

    def _build(self, request: HttpRequest) -> httpx.Request:
        text = self._base_url + request.url if request.url.startswith("/") else request.url
        # Addresses with a query differ from call to call; the others are few.
        url = self._urls.get(text)
        if url is None:
            url = httpx.URL(text)
            if url.scheme not in {"http", "https"} or not url.host:
                raise httpx.InvalidURL("no http address")
            if "?" not in text and len(self._urls) < 64:
                self._urls[text] = url
        headers = {**self._headers, **dict(request.headers)}
        timeout = {"connect": min(CONNECT_TIMEOUT_S, request.timeout_s), "read": None, "write": None, "pool": None}
        sent = httpx.Request(request.method, url, headers=headers, content=request.body, extensions={"timeout": timeout})
        sent.stream = _BodyStream(_Once(request.body) if isinstance(request.body, bytes) else request.body)
        return sent


class _Once:
    """A body of bytes, yielded once by an object: a generator would stay open when a call is cancelled on trio."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        part, self._left = self._left, b""
        return part


class _BodyStream(httpx.AsyncByteStream):
    """A body that is sent as it is made. httpx wraps one in a generator, which an upload that breaks off leaves open."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._chunks)


class _Lane:
    """One connection to one origin.

    Attributes:
        read_by: Until when the next read of the socket must have brought something, as `time.monotonic` counts.
        is_timed: Whether `read_by` is kept here, inside the socket reads; else the exchange keeps it.
    """

    def __init__(self, origin: _Origin, tls: ssl.SSLContext, *, trust_env: bool) -> None:
        self.origin = origin
        self.read_by = math.inf
        self.is_timed = not trust_env
        # Only httpx's client knows how to read the environment's proxies; it costs a fifth more per call.
        self._client = httpx.AsyncClient(verify=tls, follow_redirects=False, limits=_ONE_CONNECTION, timeout=None) if trust_env else None  # noqa: S113  # each request brings its own
        self._transport = None if trust_env else _LaneTransport(tls, _LaneBackend(self))

    async def send(self, request: httpx.Request) -> httpx.Response:
        if self._client is not None:
            return await self._client.send(request, stream=True)
        assert self._transport is not None
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await (self._client or self._transport).aclose()  # type: ignore[union-attr]  # one of the two is always set


class _LaneTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool of one connection with our own network backend, which httpx does not offer."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_LANE_S, network_backend=backend
        )


class _LaneBackend(httpcore.AsyncNetworkBackend):
    """Opens sockets whose reads end when the lane says so.

    A streamed answer arrives in hundreds of pieces and few socket reads: a time limit on each read costs
    nothing there, while a cancel scope around each piece costs as much as the piece.
    """

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._inner: httpcore.AsyncNetworkBackend = httpcore.TrioBackend() if is_trio_running() else httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface's own name
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        return _LaneSocket(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self._lane)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _LaneSocket(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream, lane: _Lane) -> None:
        self._inner = inner
        self._lane = lane
        self.write = inner.write  # type: ignore[method-assign]  # passed through without a step in between
        self.get_extra_info = inner.get_extra_info  # type: ignore[method-assign]  # as above

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the interface's own name
        if self._lane.read_by != math.inf:
            timeout = max(0.0, self._lane.read_by - time.monotonic())
        return await self._inner.read(max_bytes, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface's own name
    ) -> httpcore.AsyncNetworkStream:
        return _LaneSocket(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._lane)


class _HttpxExchange:
    """One request and its answer. No cancel scope is held between calls, so that generators may drive it."""

    def __init__(self, transport: HttpxTransport, request: HttpRequest) -> None:
        self._transport = transport
        self._request = request
        self._lane: _Lane | None = None
        self._answer: httpx.Response | None = None
        self._body: Any = None
        self._decoder = BodyDecoder(None, max_bytes=request.max_bytes)
        self._ended = False
        self._deadline = math.inf
        self._headers: Headers | None = None
        self.status = 0

    async def __aenter__(self) -> Self:
        request = self._request
        try:
            sent = self._transport._build(request)  # noqa: SLF001  # the exchange is the transport's other half
            with anyio.fail_after(None if request.timeout_s == math.inf else request.timeout_s):
                if request.timeout_s != math.inf:
                    self._deadline = time.monotonic() + request.timeout_s
                self._lane = await self._transport._take_lane(sent.url)  # noqa: SLF001  # as above
                self._lane.read_by = math.inf
                self._answer = await self._lane.send(sent)
            self.status = self._answer.status_code
            self._body = self._answer.stream.__aiter__()  # type: ignore[union-attr]  # an async transport gives an async stream
            self._decoder = BodyDecoder(find_header(self.headers, "content-encoding"), max_bytes=request.max_bytes)
        except BaseException as exc:
            await self.aclose()
            if isinstance(exc, _MAPPED):
                raise _map_error(exc, request) from exc
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        lane, self._lane = self._lane, None
        if lane is None:
            return
        answer, self._answer = self._answer, None
        try:
            if answer is not None:
                # A finished answer closes without waiting; an unfinished one must not be kept by cancellation.
                shield = contextlib.nullcontext() if self._ended else anyio.CancelScope(shield=True)
                with shield, contextlib.suppress(httpx.HTTPError, OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                    await answer.aclose()
                    # httpx nests generators, and closing the outer one leaves the inner ones to the event loop's
                    # finaliser; resumed on the closed connection, all of them end here.
                    while not self._ended and await anext(self._body, None) is not None:
                        pass
        finally:
            await self._transport._return_lane(lane, usable=self._ended)  # noqa: SLF001  # as above

    def abort(self) -> None:
        """Hang up at once, without waiting; the rest is cleared at the transport's next call."""
        if self._lane is None or self._answer is None:
            return
        wire = self._answer.extensions.get("network_stream")
        raw = wire.get_extra_info("socket") if wire is not None else None
        if raw is not None and not self._ended:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
        self._transport._abandon(self)  # noqa: SLF001  # as above

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            assert self._answer is not None
            self._headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._answer.headers.raw)
        return self._headers

    def chunks(self) -> AsyncIterator[bytes]:
        # Not a generator: one that is dropped half-way would have to be finalised by the event loop.
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            try:
                if self._lane is None:
                    raise httpx.ReadError("closed")  # mapped below, as a broken connection is
                self._lane.read_by = self._deadline
                with contextlib.nullcontext() if self._lane.is_timed else anyio.fail_after(self._left_s()):
                    chunk = await anext(self._body, None)
                # Pieces that had already arrived are no reason to go on after the end.
                if time.monotonic() > self._deadline:
                    raise TimeoutError  # as above
            except _MAPPED as exc:
                raise _map_error(exc, self._request) from exc
            if chunk is None:
                self._decoder.finish()
                self._ended = True
            elif data := self._decoder.decode(chunk):
                return data
        raise StopAsyncIteration

    def _left_s(self) -> float | None:
        return None if self._deadline == math.inf else self._deadline - time.monotonic()

    def limit_read(self, seconds: float) -> None:
        """The next chunk must come within this time; replaces the request's `timeout_s` from here on."""
        self._deadline = time.monotonic() + seconds

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


_MAPPED = (httpx.HTTPError, httpx.InvalidURL, TimeoutError)


def _map_error(exc: Exception, request: HttpRequest) -> DealQuestError:
    """Turn httpx's errors into ours."""
    match exc:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout() | httpx.ProxyError():
            return cannot_connect()
        case TimeoutError() | httpx.TimeoutException():
            return not_in_time(request.timeout_s)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return cannot_send()
        case httpx.RemoteProtocolError() if "disconnected" not in str(exc) and "closed connection" not in str(exc):
            return not_http()
        case _:
            return connection_broke()
