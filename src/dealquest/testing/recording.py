"""Record what a peer answered, keys redacted, and replay it without a network.

A recording holds the request's method, URL, body and harmless headers, and the answer's chunks. What
a secret header holds is never written; secrets handed to the recorder are masked wherever they stand.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio.lowlevel
import attrs
import msgspec

from dealquest.errors import InputError
from dealquest.values import Secret
from dealquest.wire import Headers, HttpRequest, HttpResponse, HttpStream, Transport

_MASK = b"[redacted]"
_SECRET_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "apikey", "cookie", "set-cookie", "proxy-authorization", "x-goog-api-key"}
)


@attrs.frozen(kw_only=True)
class Exchange:
    """One request and what came back."""

    method: str
    url: str
    request_headers: Headers
    request_body: bytes
    status: int
    headers: Headers
    chunks: tuple[bytes, ...]


class RecordingTransport:
    """Passes requests on and keeps what happened.

    Args:
        inner: Who really answers.
        secrets: Texts to mask in URLs, bodies, headers and answers.

    Attributes:
        exchanges: What was recorded, in the order in which answers ended.
    """

    def __init__(self, inner: Transport, *, secrets: Iterable[Secret] = ()) -> None:
        self._inner = inner
        self._secrets = [secret.reveal().encode() for secret in secrets if secret]
        self.exchanges: list[Exchange] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send through the inner transport and record the whole answer."""
        answer = await self._inner.send(request)
        self._keep(request, answer.status, answer.headers, [answer.body])
        return answer

    def stream(self, request: HttpRequest) -> "_RecordedExchange":
        """Stream through the inner transport and record what was read."""
        return _RecordedExchange(self, self._inner, request)

    def _keep(self, request: HttpRequest, status: int, headers: Headers, chunks: Sequence[bytes]) -> None:
        self.exchanges.append(
            Exchange(
                method=request.method,
                url=self._mask(request.url.encode()).decode(),
                request_headers=self._mask_headers(request.headers),
                request_body=self._mask(request.body) if isinstance(request.body, bytes) else b"",
                status=status,
                headers=self._mask_headers(headers),
                chunks=tuple(self._mask_chunks(chunks)),
            )
        )

    def _mask(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, _MASK)
        return data

    def _mask_chunks(self, chunks: Sequence[bytes]) -> Sequence[bytes]:
        whole = b"".join(chunks)
        # A secret may be split between chunks; then the chunk borders are given up rather than the secret.
        return chunks if self._mask(whole) == whole else [self._mask(whole)]

    def _mask_headers(self, headers: Headers) -> Headers:
        return tuple(
            (name, _MASK.decode() if name in _SECRET_HEADERS else self._mask(value.encode("latin-1", "replace")).decode("latin-1"))
            for name, value in headers
        )


class _RecordedExchange:
    def __init__(self, recorder: RecordingTransport, inner: Transport, request: HttpRequest) -> None:
        self._recorder = recorder
        self._request = request
        self._context = inner.stream(request)
        self._stream: HttpStream | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._chunks: list[bytes] = []
        self.status = 0
        self.headers: Headers = ()

    async def __aenter__(self) -> Self:
        self._stream = await self._context.__aenter__()
        self._source = self._stream.chunks()
        self.status, self.headers = self._stream.status, self._stream.headers
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._recorder._keep(self._request, self.status, self.headers, self._chunks)  # noqa: SLF001  # the recorder's other half
        await self._context.__aexit__(kind, error, trace)

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        assert self._source is not None
        chunk = await anext(self._source)
        self._chunks.append(chunk)
        return chunk

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


class ReplayTransport:
    """Answers requests from a recording: the first unused exchange with the same method, path and body.

    Args:
        exchanges: What was recorded.
        match_body: Whether the body must be equal too; masked secrets never are, so keep keys in headers.
    """

    def __init__(self, exchanges: Iterable[Exchange], *, match_body: bool = True) -> None:
        self._left = list(exchanges)
        self._match_body = match_body

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer from the recording, whole."""
        async with self.stream(request) as answer:
            return HttpResponse(status=answer.status, headers=answer.headers, body=await answer.read())

    def stream(self, request: HttpRequest) -> "_ReplayedExchange":
        """Answer from the recording, in the recorded chunks.

        Raises:
            InputError: `testing.replay.unknown` when nothing recorded fits.
        """
        for index, exchange in enumerate(self._left):
            same = exchange.method == request.method and exchange.url == request.url
            if same and (not self._match_body or exchange.request_body == request.body):
                return _ReplayedExchange(self._left.pop(index))
        raise InputError("Nothing recorded answers this request; record it again.", code="testing.replay.unknown")


class _ReplayedExchange:
    def __init__(self, exchange: Exchange) -> None:
        self.status = exchange.status
        self.headers = exchange.headers
        self._chunks = list(exchange.chunks)

    async def __aenter__(self) -> Self:
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._chunks = []

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


def save_exchanges(path: Path, exchanges: Iterable[Exchange]) -> None:
    """Write a recording as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(exchange) + b"\n" for exchange in exchanges))


def load_exchanges(path: Path) -> list[Exchange]:
    """Read a recording.

    Raises:
        InputError: `testing.replay.broken` when the file is no recording.
    """
    try:
        return [msgspec.json.decode(line, type=Exchange) for line in path.read_bytes().splitlines()]
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise InputError(f"{path.name} is not a recording made by RecordingTransport.", code="testing.replay.broken") from exc
