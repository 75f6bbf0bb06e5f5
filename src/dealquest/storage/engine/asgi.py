"""The engine as a plain ASGI application: tokens, CORS, OPTIONS, size limits; an adapter mounts it or a server runs it.

Source: ASGI 3.0, "HTTP & WebSocket"; Fetch standard, "CORS protocol", read 2026-11-22.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

import attrs

from dealquest.errors import DealQuestError, PeerUnavailableError
from dealquest.wire import HttpResponse

from .errors import refuse
from .incoming import Incoming
from .jwt import TokenReader
from .timing import timed, write_timings

if TYPE_CHECKING:
    from .engine import Engine

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_EXPOSED = "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit"
_ALLOWED_METHODS = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
_DAY_S = "86400"
_NO_BODY = frozenset({204, 304})


class EngineApp:
    """Serves an engine over HTTP.

    Args:
        engine: The opened engine.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._tokens = TokenReader(engine.config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        response = await self._respond(scope, receive)
        listed = [(name.encode(), value.encode()) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": listed})
        await send({"type": "http.response.body", "body": response.body if response.status not in _NO_BODY else b""})

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        headers, prefer = _read_headers(scope["headers"])
        method: str = scope["method"]
        extra = self._cors(method, headers)
        timings: dict[str, float] | None = {} if self._engine.config.server_timing_enabled else None
        trace = self._engine.config.server_trace_header
        if trace is not None and trace.lower() in headers:
            extra.append((trace.lower(), headers[trace.lower()]))
        if method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers:
            return HttpResponse(status=200, headers=(*extra, *_preflight(headers)))
        try:
            body = await _read_body(receive, self._engine.config.max_body_bytes)
            with timed(timings, "jwt", self._engine.clock):
                identity = self._tokens.read(headers.get("authorization"), now=self._engine.clock.now(), allowed=self._engine.allowed_roles)
        except DealQuestError as exc:
            shown = self._engine.show(exc, head=method == "HEAD")
            return attrs.evolve(shown, headers=(*shown.headers, *extra, *write_timings(timings)))
        raw_path = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.partition(b"?")[0].decode("latin-1")
        root: str = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :] or "/"
        incoming = Incoming(method, path, scope["query_string"].decode("latin-1"), headers, prefer, body, timings=timings)
        try:
            response = await self._engine.answer(incoming, identity)
        except (PeerUnavailableError, TimeoutError) as exc:
            gone = refuse("PGRST001", "Database client error. Retrying the connection.") if isinstance(exc, TimeoutError) else exc
            response = self._engine.show(gone, head=method == "HEAD")
        extra += write_timings(timings)
        return HttpResponse(status=response.status, headers=(*response.headers, *extra), body=response.body) if extra else response

    def _cors(self, method: str, headers: dict[str, str]) -> list[tuple[str, str]]:
        origin = headers.get("origin")
        allowed = self._engine.config.server_cors_allowed_origins
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


def _preflight(headers: dict[str, str]) -> list[tuple[str, str]]:
    wanted = headers.get("access-control-request-headers", "")
    asked = (name.strip() for name in wanted.split(","))
    names = ", ".join(dict.fromkeys(["Authorization", *(name for name in asked if name), "Accept", "Accept-Language", "Content-Language"]))
    return [
        ("access-control-allow-methods", _ALLOWED_METHODS),
        ("access-control-allow-headers", names),
        ("access-control-max-age", _DAY_S),
        ("content-length", "0"),
    ]


def _read_headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    """Headers by lower-case name, and every Prefer; of a repeated header the first counts, cookies are joined."""
    headers: dict[str, str] = {}
    prefer: list[str] = []
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), _read_value(raw_value)
        if name == "prefer":
            prefer.append(value)
        if name == "cookie" and name in headers:
            headers[name] = f"{headers[name]}; {value}"
        else:
            headers.setdefault(name, value)
    return headers, prefer


def _read_value(raw: bytes) -> str:
    """Names of schemas and time zones come as UTF-8; anything else is taken byte by byte."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


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
