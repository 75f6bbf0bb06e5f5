"""The edge to the network over aiohttp: asyncio only, at a fraction of httpx's cost per call.

Same promises as `HttpxTransport`: no redirects, no cookies, no proxies from the environment unless
asked, decoded answers capped, errors mapped here.
Source: https://docs.aiohttp.org/en/stable/client_reference.html (3.14), read 2026-11-22.
"""

import math
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import yarl

from dealquest.errors import DealQuestError

from .decoding import BodyDecoder
from .edge import CONNECT_TIMEOUT_S, cannot_connect, cannot_send, connection_broke, not_http, not_in_time, with_own_headers
from .messages import Headers, HttpRequest, HttpResponse, find_header

_OWN_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class AiohttpTransport:
    """A `Transport` over aiohttp.

    Args:
        base_url: Prefix for requests whose URL is a path; comes from the operator, never from a request.
        headers: Sent with every request unless the request has its own; credentials belong here.
        trust_env: Whether HTTP_PROXY and its kin count. Off by default.
        max_connections: Connections at one time; further requests wait, inside their own deadline.
    """

    def __init__(self, base_url: str = "", *, headers: Headers = (), trust_env: bool = False, max_connections: int = 100) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = with_own_headers(headers)
        self._trust_env = trust_env
        self.slots = anyio.Semaphore(max_connections, fast_acquire=True)
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, yarl.URL] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and read the answer whole."""
        async with self.stream(request) as answer:
            body = await answer.read()
            return HttpResponse(status=answer.status, headers=answer.headers, body=body)

    def stream(self, request: HttpRequest) -> "_AiohttpExchange":
        """Send, and read the answer as it arrives; leaving the context closes the connection."""
        return _AiohttpExchange(self, request)

    def _open_session(self) -> aiohttp.ClientSession:
        # A session belongs to the running loop, so it is made at the first call.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Our slots stand in front, so that `connect` means name resolution and connecting alone.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S),
                trust_env=self._trust_env,
                auto_decompress=False,
                skip_auto_headers=_OWN_HEADERS,
            )
        return self._session

    def _url(self, text: str) -> yarl.URL:
        text = self._base_url + text if text.startswith("/") else text
        url = self._urls.get(text)
        if url is None:
            # What the caller encoded stays as it is: a PostgREST filter means something else when it is re-encoded.
            url = yarl.URL(text, encoded=True)
            if url.scheme not in {"http", "https"} or not url.host:
                raise ValueError("no http address")
            if "?" not in text and len(self._urls) < 64:
                self._urls[text] = url
        return url

    async def _send(self, request: HttpRequest) -> aiohttp.ClientResponse:
        return await self._open_session().request(
            request.method,
            self._url(request.url),
            data=request.body or None,
            headers={**self._headers, **dict(request.headers)},
            allow_redirects=False,
        )


class _AiohttpExchange:
    """One request and its answer. No cancel scope is held between calls, so that generators may drive it."""

    def __init__(self, transport: AiohttpTransport, request: HttpRequest) -> None:
        self._transport = transport
        self._request = request
        self._answer: aiohttp.ClientResponse | None = None
        self._holds_slot = False
        self._decoder = BodyDecoder(None, max_bytes=request.max_bytes)
        self._ended = False
        self._deadline = math.inf
        self._headers: Headers | None = None
        self.status = 0

    async def __aenter__(self) -> Self:
        request = self._request
        try:
            if request.timeout_s == math.inf:
                await self._begin(request)
            else:
                self._deadline = time.monotonic() + request.timeout_s
                with anyio.fail_after(request.timeout_s):
                    await self._begin(request)
            assert self._answer is not None
            self.status = self._answer.status
            self._decoder = BodyDecoder(find_header(self.headers, "content-encoding"), max_bytes=request.max_bytes)
        except _MAPPED as exc:
            self.abort()
            raise _map_error(exc, request) from exc
        except BaseException:
            self.abort()
            raise
        return self

    async def _begin(self, request: HttpRequest) -> None:
        try:
            self._transport.slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._transport.slots.acquire()
        self._holds_slot = True
        self._answer = await self._transport._send(request)  # noqa: SLF001  # the exchange is the transport's other half

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()

    def abort(self) -> None:
        """Hang up at once unless the answer was read to its end; then the connection is kept."""
        if self._holds_slot:
            self._holds_slot = False
            self._transport.slots.release()
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if self._ended:
            answer.release()
        else:
            answer.close()

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            assert self._answer is not None
            raw = self._answer.raw_headers
            self._headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)
        return self._headers

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            answer = self._answer
            if answer is None:
                raise connection_broke()
            try:
                chunk = await self._next_raw(answer.content)
            except _MAPPED as exc:
                raise _map_error(exc, self._request) from exc
            if not chunk:
                self._decoder.finish()
                self._ended = True
            elif data := self._decoder.decode(chunk):
                return data
        raise StopAsyncIteration

    async def _next_raw(self, content: aiohttp.StreamReader) -> bytes:
        if self._deadline == math.inf:
            return await content.readany()
        left_s = self._deadline - time.monotonic()
        # What has already arrived needs no time limit around it, but is no reason to go on after the end.
        if left_s <= 0:
            raise TimeoutError
        if chunk := content.read_nowait():
            return chunk
        with anyio.fail_after(left_s):
            return await content.readany()

    def limit_read(self, seconds: float) -> None:
        """The next chunk must come within this time; replaces the request's `timeout_s` from here on."""
        self._deadline = time.monotonic() + seconds

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


_MAPPED = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


def _map_error(exc: Exception, request: HttpRequest) -> DealQuestError:
    """Turn aiohttp's errors into ours."""
    match exc:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.ClientProxyConnectionError():
            return cannot_connect()
        case TimeoutError():
            return not_in_time(request.timeout_s)
        case aiohttp.InvalidURL() | ValueError():
            return cannot_send()
        case aiohttp.ClientResponseError():
            return not_http()
        case _:
            return connection_broke()
