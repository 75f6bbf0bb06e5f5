"""Every pipeline's story: spans, a collector that accounts for each of them, sinks, and views.

    tracer = Tracer(Collector([PostgrestSink.over_http(url)], spool=folder))
    install_tracer(tracer)
    async with trace("train", user=principal):
        async with span("score"): ...

Without a tracer every span is a shared object that does nothing. The doors are loaded at once, for rooms that only
open spans; whatever collects, sends and shows is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import names
from .capture import Capture
from .context import current_span, install_tracer, installed_tracer, llm_span, outgoing_headers, span, trace, wrap_context
from .decorator import traced_span
from .no_span import NoSpan
from .spans import Kind, Span, Status
from .tracer import Recorder, Tracer, parse_traceparent

if TYPE_CHECKING:
    from .accounts import Accounts
    from .collector import Collector, Durability, Overflow
    from .limits import Limits
    from .models import SpanModel, TraceModel
    from .readers import find_trace, gather, read_records, read_traces, replay
    from .recorder import MemoryRecorder
    from .records import Record
    from .redact import Redactor, Rule
    from .remote import RemoteTraces
    from .sinks import (
        Accepted,
        ConsoleSink,
        JsonlSink,
        MemorySink,
        OtlpSink,
        Outcome,
        PostgrestSink,
        Refused,
        Sink,
        Unavailable,
        langfuse_sink,
    )
    from .stats import PipelineStats, summarize
    from .story import Trace, assemble, draw_tree

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
    "PipelineStats",
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
    "gather",
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
    "summarize",
    "trace",
    "traced_span",
    "wrap_context",
]


_HOMES = {
    "accounts": ("Accounts",),
    "collector": ("Collector", "Durability", "Overflow"),
    "limits": ("Limits",),
    "models": ("SpanModel", "TraceModel"),
    "readers": ("find_trace", "gather", "read_records", "read_traces", "replay"),
    "recorder": ("MemoryRecorder",),
    "records": ("Record",),
    "redact": ("Redactor", "Rule"),
    "remote": ("RemoteTraces",),
    "sinks": (
        *("Accepted", "ConsoleSink", "JsonlSink", "MemorySink", "OtlpSink", "Outcome", "PostgrestSink"),
        *("Refused", "Sink", "Unavailable", "langfuse_sink"),
    ),
    "stats": ("PipelineStats", "summarize"),
    "story": ("Trace", "assemble", "draw_tree"),
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, its_names in _HOMES.items():
        if name in its_names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
