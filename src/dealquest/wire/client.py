"""The edge to the network: the only file that imports httpx.

Redirects are never followed (a key would follow them), the environment's proxies are used only when
asked, answers are capped on the decoded side, and httpx's errors are mapped here.
Source: https://www.python-httpx.org/api/ (0.28), read 2026-11-22.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import anyio
import httpx

from dealquest.errors import DealQuestError, InputError, LimitError, PeerGarbledError, PeerUnavailableError

from .messages import Headers, HttpRequest, HttpResponse, HttpStream

CONNECT_TIMEOUT_S = 5.0


class HttpxTransport:
    """A `Transport` over httpx.

    Args:
        base_url: Prefix for requests whose URL is a path; comes from the operator, never from a request.
        headers: Sent with every request unless the request has its own; credentials belong here.
        trust_env: Whether HTTP_PROXY and its kin count. Off by default.
    """

    def __init__(self, base_url: str = "", *, headers: Headers = (), trust_env: bool = False) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = headers
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=trust_env, timeout=None)  # noqa: S113  # each request brings its own

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and read the answer whole."""
        async with self.stream(request) as answer:
            body = await answer.read()
            return HttpResponse(status=answer.status, headers=answer.headers, body=body)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncIterator[HttpStream]:
        """Send, and read the answer as it arrives; leaving the context closes the connection."""
        with mapped_errors(request), anyio.fail_after(request.timeout_s):
            sent = self._client.build_request(
                request.method,
                self._base_url + request.url if request.url.startswith("/") else request.url,
                headers=list({**dict(self._headers), **dict(request.headers)}.items()),
                content=request.body,
                timeout=httpx.Timeout(request.timeout_s, connect=min(CONNECT_TIMEOUT_S, request.timeout_s)),
            )
            answer = await self._client.send(sent, stream=True)
            try:
                yield _HttpxStream(answer, request.max_bytes)
            finally:
                with anyio.CancelScope(shield=True):
                    await answer.aclose()


class _HttpxStream:
    def __init__(self, answer: httpx.Response, max_bytes: int) -> None:
        self._answer = answer
        self._max_bytes = max_bytes

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Headers:
        return tuple((name.lower(), value) for name, value in self._answer.headers.multi_items())

    async def chunks(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._answer.aiter_bytes():
            seen += len(chunk)
            if seen > self._max_bytes:
                raise LimitError(f"The answer is larger than {self._max_bytes} bytes.", code="wire.too_large")
            yield chunk

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


@contextmanager
def mapped_errors(request: HttpRequest) -> Iterator[None]:
    """Turn httpx's errors into ours. URLs and headers stay out of the messages: they may hold keys."""
    host = httpx.URL(request.url).host if "://" in request.url else "the server"
    try:
        yield
    except DealQuestError:
        raise
    except TimeoutError as exc:
        raise LimitError(f"No whole answer from {host} within {request.timeout_s:g} s.", code="wire.timeout", retryable=True) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise PeerUnavailableError(f"Cannot connect to {host}.", code="wire.connect") from exc
    except httpx.TimeoutException as exc:
        raise LimitError(f"No answer from {host} within {request.timeout_s:g} s.", code="wire.timeout", retryable=True) from exc
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as exc:
        raise InputError("The request cannot be sent: its URL or a header is malformed.", code="wire.bad_request") from exc
    except (httpx.RemoteProtocolError, httpx.DecodingError) as exc:
        raise PeerGarbledError(f"{host} broke off or answered something that is not HTTP.", code="wire.garbled", retryable=True) from exc
    except httpx.HTTPError as exc:
        raise PeerUnavailableError(f"The connection to {host} broke.", code="wire.broken") from exc
