"""A verbatim proxy to the remote records: path, query, credentials and body go through as they came, both ways, streaming.

The remote server judges the credential. Only what belongs to one connection stays behind, and the
public key of this installation is exchanged for the remote one's.
Source: RFC 9110 section 7.6.1 (Connection), read 2026-11-22.
"""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dealquest.wire import Headers, HttpRequest, HttpStream

from .shared import Shared, shared_of

TIMEOUT_S = 120.0
MAX_ANSWER_BYTES = 1024 * 1024 * 1024

# Of one connection; or written anew, because the body was decoded on its way.
_HOP = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"})
_REWRITTEN = frozenset({"accept-encoding", "content-encoding", "content-length", "date", "host", "server"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


async def pass_on(request: Request) -> Response:
    """The remote server's own answer.

    Raises:
        PeerUnavailableError, LimitError, PeerGarbledError: The remote server could not be asked; the codes of `wire`.
    """
    shared = shared_of(request)
    assert shared.kit.remote is not None
    exchange = shared.kit.remote.stream(
        HttpRequest(
            method=request.method,
            url=target_of(request),
            headers=tuple(_forwarded(request, shared)),
            body=b"" if request.method in _BODILESS else request.stream(),
            timeout_s=TIMEOUT_S,
            max_bytes=MAX_ANSWER_BYTES,
        )
    )
    return _PassedOn(await exchange.__aenter__(), exchange)


def target_of(request: Request, *, without: str = "") -> str:
    """Path and query as they were sent, less a prefix: their encoding and repeated keys are for the reader."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1").removeprefix(without)
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


class _PassedOn(StreamingResponse):
    """An answer that is still arriving; its exchange ends with it, also when the caller has left before the first byte."""

    def __init__(self, answer: HttpStream, exchange: AbstractAsyncContextManager[HttpStream]) -> None:
        super().__init__(answer.chunks(), status_code=answer.status)
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in _kept(answer.headers)]
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._exchange.__aexit__(None, None, None)


def _forwarded(request: Request, shared: Shared) -> Iterator[tuple[str, str]]:
    anon_key = shared.settings.insforge_anon_key
    merged: dict[str, str] = {}
    for name, value in request.headers.items():
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    for name, value in _kept(tuple(merged.items())):
        scheme, _, key = value.partition(" ")
        if name == "authorization" and anon_key is not None and scheme.lower() == "bearer" and shared.keys.is_anon_key(key):
            yield name, f"Bearer {anon_key.reveal()}"
        else:
            yield name, value


def _kept(headers: Headers) -> Iterator[tuple[str, str]]:
    named = {token.strip().lower() for name, value in headers if name == "connection" for token in value.split(",")}
    for name, value in headers:
        if name not in _HOP and name not in _REWRITTEN and name not in named:
            yield name, value
