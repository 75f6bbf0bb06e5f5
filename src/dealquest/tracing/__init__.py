"""Every pipeline's story: spans, a collector that accounts for each of them, sinks, and views.

    tracer = Tracer(Collector([PostgrestSink.over_http(url)], spool=folder))
    install_tracer(tracer)
    async with trace("train", user=principal):
        async with span("score"): ...

Without a tracer every span is a shared object that does nothing.
"""

from typing import TYPE_CHECKING, Any

from . import names
from .accounts import Accounts
from .capture import Capture
from .collector import Collector, Durability, Limits, Overflow
from .context import (
    current_span,
    install_tracer,
    installed_tracer,
    llm_span,
    outgoing_headers,
    span,
    trace,
    wrap_context,
)
from .decorator import traced_span
from .models import Kind, SpanModel, Status, TraceModel
from .readers import RemoteTraces, find_trace, read_records, read_traces, replay
from .recorder import MemoryRecorder
from .records import Record
from .redact import Redactor, Rule
from .sinks import (
    Accepted,
    ConsoleSink,
    JsonlSink,
    MemorySink,
    Outcome,
    PostgrestSink,
    Refused,
    Sink,
    Unavailable,
)
from .spans import NoSpan, Span
from .story import Trace, assemble, draw_tree
from .tracer import Recorder, Tracer, parse_traceparent

if TYPE_CHECKING:
    from .sinks import OtlpSink, langfuse_sink

__all__ = [
    "Accepted",
    "Accounts",
    "Capture",
    "Collector",
    "ConsoleSink",
    "Durability",
    "JsonlSink",
    "Kind",
    "Limits",
    "MemoryRecorder",
    "MemorySink",
    "NoSpan",
    "OtlpSink",
    "Outcome",
    "Overflow",
    "PostgrestSink",
    "Record",
    "Recorder",
    "Redactor",
    "Refused",
    "RemoteTraces",
    "Rule",
    "Sink",
    "Span",
    "SpanModel",
    "Status",
    "Trace",
    "TraceModel",
    "Tracer",
    "Unavailable",
    "assemble",
    "current_span",
    "draw_tree",
    "find_trace",
    "install_tracer",
    "installed_tracer",
    "langfuse_sink",
    "llm_span",
    "names",
    "outgoing_headers",
    "parse_traceparent",
    "read_records",
    "read_traces",
    "replay",
    "span",
    "trace",
    "traced_span",
    "wrap_context",
]


def __getattr__(name: str) -> Any:
    """Import OpenTelemetry only for those who send to it."""
    if name in {"OtlpSink", "langfuse_sink"}:
        from . import sinks  # noqa: PLC0415  # an extra

        return getattr(sinks, name)
    raise AttributeError(name)
