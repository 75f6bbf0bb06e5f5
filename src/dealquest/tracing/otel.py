"""In step with OpenTelemetry (extra `otel`): its current span is ours, and ours hangs under its own.

No OpenTelemetry global is set; the host application owns them.
Source: https://opentelemetry-python.readthedocs.io/ (API 1.45), read 2026-11-22.
"""

from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace

from .spans import Span


class OtelBridge:
    """Sets and reads OpenTelemetry's current span."""

    def current_parent(self) -> tuple[int, int, int] | None:
        """Trace id, span id and flags of OpenTelemetry's current span."""
        found = otel_trace.get_current_span().get_span_context()
        return (found.trace_id, found.span_id, int(found.trace_flags)) if found.is_valid else None

    def enter(self, span: Span) -> Any:
        """Make our span its current one."""
        shown = otel_trace.SpanContext(
            span.run.trace_id, span.span_id, is_remote=False, trace_flags=otel_trace.TraceFlags(span.run.flags & 1)
        )
        return otel_context.attach(otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(shown)))

    def leave(self, token: Any) -> None:
        """Restore what was there before `enter`."""
        otel_context.detach(token)
