"""Where records end up. Those that need the wire or the extra `otel` are loaded when first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .jsonl import JsonlSink
from .protocol import Accepted, Outcome, Refused, Sink, Unavailable

if TYPE_CHECKING:
    from .console import ConsoleSink
    from .memory import MemorySink
    from .otlp import OtlpSink, langfuse_sink
    from .postgrest import PostgrestSink

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


_HOMES = {"ConsoleSink": "console", "MemorySink": "memory", "OtlpSink": "otlp", "PostgrestSink": "postgrest", "langfuse_sink": "otlp"}


def __getattr__(name: str) -> Any:
    """Load the sink that is asked for."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
