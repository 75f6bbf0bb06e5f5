"""In step with OpenTelemetry: its spans nest in ours, ours in its own, and no global is set."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dealquest.testing import CapturedTraces
from dealquest.tracing import Tracer, installed_tracer, span, trace, traced_span
from dealquest.tracing.ids import decode_span_uuid


def open_both() -> tuple[CapturedTraces, InMemorySpanExporter, otel_trace.Tracer]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return CapturedTraces(), exporter, provider.get_tracer("host")


def test_spans_nest_both_ways() -> None:
    """Ours in theirs in ours in theirs: one trace, each under the one around it."""
    ours, theirs, host = open_both()
    theirs_around, theirs_inside = host.start_as_current_span("request"), host.start_as_current_span("http")
    with installed_tracer(Tracer(ours, otel=True)), theirs_around, trace("run"), theirs_inside, span("step"):
        assert otel_trace.get_current_span().get_span_context().is_valid
    request, http = sorted(theirs.get_finished_spans(), key=lambda found: found.start_time or 0)
    run, step = ours.span("run"), ours.span("step")
    assert request.context is not None
    assert http.context is not None
    assert run.trace_id.int == request.context.trace_id == http.context.trace_id
    assert run.parent_span_id is not None
    assert decode_span_uuid(run.parent_span_id) == request.context.span_id
    assert http.parent is not None
    assert http.parent.span_id == decode_span_uuid(run.span_id)
    assert step.parent_span_id is not None
    assert decode_span_uuid(step.parent_span_id) == http.context.span_id


@pytest.mark.anyio
async def test_streams_keep_step_without_a_detach_error(caplog: pytest.LogCaptureFixture) -> None:
    """Inside a traced stream their spans hang under it, between items they do not, and nothing is logged."""
    ours, theirs, host = open_both()

    @traced_span("stream")
    async def stream() -> AsyncIterator[int]:
        for number in range(2):
            with host.start_as_current_span(f"inside {number}"):
                pass
            yield number

    with installed_tracer(Tracer(ours, otel=True)), trace("run"):
        async for number in stream():
            with host.start_as_current_span(f"outside {number}"):
                pass
    parents = {found.name: found.parent.span_id for found in theirs.get_finished_spans() if found.parent is not None}
    inside, outside = decode_span_uuid(ours.span("stream").span_id), decode_span_uuid(ours.span("run").span_id)
    assert parents == {"inside 0": inside, "inside 1": inside, "outside 0": outside, "outside 1": outside}
    assert caplog.records == []
    assert not otel_trace.get_current_span().get_span_context().is_valid


def test_no_global_is_set() -> None:
    """The host application owns OpenTelemetry's globals."""
    before = otel_trace.get_tracer_provider()
    Tracer(CapturedTraces(), otel=True)
    assert otel_trace.get_tracer_provider() is before
