"""HTTP as values, one pair for both directions: what we send and what we are sent.

Anything that answers an `HttpRequest` with an `HttpResponse` is a `Transport`: a socket, the
PostgREST engine in this process, or a script in a test. No I/O here.
Source: RFC 9110 (HTTP Semantics), read 2026-11-22.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

import attrs
import msgspec

from dealquest.errors import PeerGarbledError

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Name and value pairs in order; names in lower case."""


def find_header(headers: Headers, name: str) -> str | None:
    """The first value of a header, by its lower-case name."""
    for key, value in headers:
        if key == name:
            return value
    return None


@attrs.frozen(kw_only=True)
class HttpRequest:
    """One request.

    Attributes:
        method: Upper-case method.
        url: Absolute URL, or a path with query for a transport that is bound to a base.
        headers: Lower-case names. Credentials live here, so they stay out of the repr.
        body: The bytes, or a source that yields them once.
        timeout_s: Seconds for the whole exchange, connecting and reading included.
        max_bytes: Largest decoded answer accepted, in bytes.
    """

    method: str
    url: str
    headers: Headers = attrs.field(default=(), repr=False)
    body: bytes | AsyncIterable[bytes] = attrs.field(default=b"", repr=False)
    timeout_s: float = 30.0
    max_bytes: int = 16 * 1024 * 1024


@attrs.frozen(kw_only=True)
class HttpResponse:
    """One answer, its body read whole and within the request's `max_bytes`."""

    status: int
    headers: Headers = attrs.field(default=(), repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return find_header(self.headers, name)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            PeerGarbledError: `wire.not_json` when the body is something else.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise PeerGarbledError(f"The peer answered HTTP {self.status} with something that is not JSON.", code="wire.not_json") from exc


class HttpStream(Protocol):
    """An answer whose body is still arriving."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """The answer's headers, lower-case names."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The decoded body as it arrives; ends at the true end, raises when the connection breaks."""
        ...

    async def read(self) -> bytes:
        """The rest of the body, whole."""
        ...


class Transport(Protocol):
    """Anything that answers requests.

    Raises from both calls:
        PeerUnavailableError: `wire.connect` (nothing was sent), `wire.broken` (it broke afterwards).
        LimitError: `wire.timeout` when `timeout_s` is over, `wire.too_large` beyond `max_bytes`.
        PeerGarbledError: `wire.garbled` when the answer is not HTTP.
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and read the answer whole."""
        ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Send, and read the answer as it arrives; leaving the context closes the connection."""
        ...
