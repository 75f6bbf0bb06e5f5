"""Where records end up. `OtlpSink` and `langfuse_sink` need the extra `otel` and load it when first asked for."""

from typing import TYPE_CHECKING, Any

from .console import ConsoleSink
from .jsonl import JsonlSink
from .memory import MemorySink
from .postgrest import PostgrestSink
from .protocol import Accepted, Outcome, Refused, Sink, Unavailable

if TYPE_CHECKING:
    from .otlp import OtlpSink, langfuse_sink

__all__ = [
    "Accepted",
    "ConsoleSink",
    "JsonlSink",
    "MemorySink",
    "OtlpSink",
    "Outcome",
    "PostgrestSink",
    "Refused",
    "Sink",
    "Unavailable",
    "langfuse_sink",
]


def __getattr__(name: str) -> Any:
    """Import OpenTelemetry only for those who send to it."""
    if name in {"OtlpSink", "langfuse_sink"}:
        from . import otlp  # noqa: PLC0415  # an extra

        return getattr(otlp, name)
    raise AttributeError(name)
