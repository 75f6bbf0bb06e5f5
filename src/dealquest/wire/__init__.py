"""HTTP as values, both directions, and what every client needs. The transports load when first asked for."""

from typing import TYPE_CHECKING, Any

from .messages import Headers, HttpRequest, HttpResponse, HttpStream, Transport, find_header
from .opening import NetworkTransport, TransportSource, open_transport
from .retry import RetryBudget, RetryPolicy, parse_retry_after
from .sse import SseDecoder, SseEvent
from .timing import ScopeLimit, SystemTimer, TimeLimit, Timer

if TYPE_CHECKING:
    from .aiohttp_client import AiohttpTransport
    from .client import HttpxTransport

__all__ = [
    "AiohttpTransport",
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "HttpStream",
    "HttpxTransport",
    "NetworkTransport",
    "RetryBudget",
    "RetryPolicy",
    "ScopeLimit",
    "SseDecoder",
    "SseEvent",
    "SystemTimer",
    "TimeLimit",
    "Timer",
    "Transport",
    "TransportSource",
    "find_header",
    "open_transport",
    "parse_retry_after",
]


def __getattr__(name: str) -> Any:
    """Import an HTTP library only for those who use a socket: it costs 0.1 s."""
    if name == "HttpxTransport":
        from .client import HttpxTransport  # noqa: PLC0415  # lazy on purpose

        return HttpxTransport
    if name == "AiohttpTransport":
        from .aiohttp_client import AiohttpTransport  # noqa: PLC0415  # lazy on purpose

        return AiohttpTransport
    raise AttributeError(name)
