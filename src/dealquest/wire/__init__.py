"""HTTP as values, both directions. `HttpxTransport` is loaded when it is first asked for."""

from typing import TYPE_CHECKING, Any

from .messages import Headers, HttpRequest, HttpResponse, HttpStream, Transport, find_header
from .retry import RetryBudget, RetryPolicy, parse_retry_after

if TYPE_CHECKING:
    from .client import HttpxTransport

__all__ = [
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "HttpStream",
    "HttpxTransport",
    "RetryBudget",
    "RetryPolicy",
    "Transport",
    "find_header",
    "parse_retry_after",
]


def __getattr__(name: str) -> Any:
    """Import httpx only for those who use a socket: it costs 0.1 s."""
    if name == "HttpxTransport":
        from .client import HttpxTransport  # noqa: PLC0415  # lazy on purpose

        return HttpxTransport
    raise AttributeError(name)
