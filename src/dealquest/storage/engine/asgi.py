"""The engine as a plain ASGI application: tokens, CORS, OPTIONS, size limits; an adapter mounts it or a server runs it.

Source: ASGI 3.0, "HTTP & WebSocket"; Fetch standard, "CORS protocol", read 2026-11-22.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Protocol

from dealquest.errors import DealQuestError
from dealquest.values import Clock
from dealquest.wire import HttpResponse

from .config import EngineConfig
from .errors import refuse
from .identity import Identity
from .incoming import Incoming, decode_head
from .jwt import TokenReader
from .timing import timed, write_timings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_EXPOSED = "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit"
_ALLOWED_METHODS = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
_DAY_S = "86400"
_NO_BODY = frozenset({204, 304})


class Answering(Protocol):
    """What the application needs of an engine."""

    @property
    def config(self) -> EngineConfig:
        """The options."""
        ...

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        ...

    @property
    def allowed_roles(self) -> frozenset[str]:
        """Roles that a token may name."""
        ...

    async def answer(self, incoming: Incoming, identity: Identity) -> HttpResponse:
        """Answer one request as an identity."""
        ...

    def show(self, error: DealQuestError, *, head: bool) -> HttpResponse:
        """An error as an answer."""
        ...


class EngineApp:
    """Serves an engine over HTTP.

    Args:
        engine: The opened engine.
    """

    def __init__(self, engine: Answering) -> None:
        self._engine = engine
        self._tokens = TokenReader(engine.config)
        self._traced = (engine.config.server_trace_header or "").lower()
        self._max_body_bytes = engine.config.max_body_bytes
        self._measures = engine.config.server_timing_enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            response = await self._respond(scope, receive)
            listed = [(name.encode(), value.encode()) for name, value in response.headers]
            await send({"type": "http.response.start", "status": response.status, "headers": listed})
            await send({"type": "http.response.body", "body": response.body if response.status not in _NO_BODY else b""})
        elif scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        engine, method = self._engine, scope["method"]
        head = decode_head(tuple(scope["headers"]))
        headers = head.headers
        extra = self._cors(method, headers) if "origin" in headers or method == "OPTIONS" else []
        if self._traced:
            extra.append((self._traced, headers.get(self._traced, "")))
        if method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers:
            return HttpResponse(status=200, headers=(*extra, *_preflight(headers)))
        timings: dict[str, float] | None = {} if self._measures else None
        try:
            body = (
                await _read_body(receive, self._max_body_bytes)
                if head.announces_body or not scope.get("http_version", "").startswith("1.")
                else b""
            )
            path = _read_path(scope.get("raw_path") or scope["path"].encode(), scope.get("root_path", ""))
            incoming = Incoming(method, path, scope["query_string"].decode("latin-1"), head, body, None, timings)
            response = await engine.answer(incoming, self._identify(headers.get("authorization"), timings))
        except DealQuestError as exc:
            response = engine.show(exc, head=method == "HEAD")
        except TimeoutError:
            response = engine.show(refuse("PGRST001", "Database client error. Retrying the connection."), head=method == "HEAD")
        if timings:
            extra += write_timings(timings)
        return HttpResponse(status=response.status, headers=(*response.headers, *extra), body=response.body) if extra else response

    def _identify(self, authorization: str | None, timings: dict[str, float] | None) -> Identity:
        if authorization is None and timings is None:
            return self._tokens.be_anonymous()
        with timed(timings, "jwt", self._engine.clock):
            return self._tokens.read(authorization, now=self._engine.clock.now(), allowed=self._engine.allowed_roles)

    def _cors(self, method: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        origin = headers.get("origin")
        allowed = self._engine.config.server_cors_allowed_origins or None
        if origin is None:
            return [("access-control-allow-origin", "*")] if method == "OPTIONS" and allowed is None else []
        if allowed is None:
            return [("access-control-allow-origin", "*"), ("access-control-expose-headers", _EXPOSED)]
        if origin not in allowed:
            return []
        return [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", _EXPOSED),
            ("vary", "Origin"),
        ]


def _preflight(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    wanted = headers.get("access-control-request-headers", "")
    asked = (name.strip() for name in wanted.split(","))
    names = ", ".join(dict.fromkeys(["Authorization", *(name for name in asked if name), "Accept", "Accept-Language", "Content-Language"]))
    return [
        ("access-control-allow-methods", _ALLOWED_METHODS),
        ("access-control-allow-headers", names),
        ("access-control-max-age", _DAY_S),
        ("content-length", "0"),
    ]


@lru_cache(maxsize=256)
def _read_path(raw_path: bytes, root: str) -> str:
    """The encoded path, without the part that the application is mounted under; there are few of them."""
    path = raw_path.partition(b"?")[0].decode("latin-1")
    return path[len(root) :] or "/" if root and path.startswith(root) else path


async def _read_body(receive: Receive, max_bytes: int) -> bytes:
    """The body, refused as soon as it is too large."""
    message = await receive()
    chunk: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(chunk) <= max_bytes:
        return chunk
    chunks, size = [chunk], len(chunk)
    while message.get("more_body", False) and size <= max_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise refuse("PGRST102", "The client left before its body was complete.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > max_bytes:
        raise refuse("PGRST102", f"The body is larger than {max_bytes} bytes.", status=413)
    return b"".join(chunks)


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """The engine is opened and closed by its owner, so start and stop are only acknowledged."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
