"""What is kept while traces go by is bounded; what is read back comes in pages, and damaged lines are passed over."""

import io
from pathlib import Path
from uuid import UUID

import msgspec
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dealquest.testing import ScriptedTransport, answer_bytes, answer_json, capture_traces
from dealquest.testing.trace_sinks import make_records
from dealquest.tracing import Accepted, RemoteTraces, read_records, span, trace
from dealquest.tracing.records import encode_line
from dealquest.tracing.redact import Redactor
from dealquest.tracing.remote import PAGE_ROWS
from dealquest.tracing.sinks.console import OPEN_TRACES, ConsoleSink
from dealquest.tracing.sinks.otlp import OtlpSink


def test_a_terminal_keeps_a_bounded_number_of_open_traces() -> None:
    """The oldest open trace is let go: when it ends it is printed without its steps, and the newest with them."""
    stream = io.StringIO()
    sink = ConsoleSink(stream)
    with capture_traces() as first, trace("oldest"), span("its step"):
        pass
    assert isinstance(sink.deliver([record for record in first.records if record.kind == "s"], timeout_s=1.0), Accepted)
    sink.deliver(make_records(OPEN_TRACES), timeout_s=1.0)
    sink.deliver([record for record in first.records if record.kind != "s"], timeout_s=1.0)
    assert "its step" not in stream.getvalue()
    assert "2 spans missing" in stream.getvalue()


def test_more_keys_than_are_remembered_are_still_judged() -> None:
    """Beyond what is remembered of names, a secret's name is still one."""
    redactor = Redactor()
    for number in range(5_000):
        assert not redactor.suspects({f"name{number}": "plain"})
    for _ in range(2):
        assert redactor.suspects({"password": "plain"})


async def test_a_long_trace_is_read_page_by_page() -> None:
    """A full page asks for the next one; a page that is not full is the last."""
    row = make_records(1)[0].body
    full = answer_bytes(b"[" + b",".join([row] * PAGE_ROWS) + b"]", content_type="application/json")
    transport = ScriptedTransport(answer_json([]), full, answer_json([]))
    story = await RemoteTraces(transport).read_trace(UUID(msgspec.json.decode(row)["trace_id"]))
    assert story is not None
    assert [f"offset={offset}" in transport.requests[place].url for place, offset in ((1, 0), (2, PAGE_ROWS))] == [True, True]


def test_a_damaged_line_of_a_segment_is_passed_over(tmp_path: Path) -> None:
    """What stands before and after it is read."""
    first, second = (encode_line(record) for record in make_records(2))
    (tmp_path / "00000001.seg").write_bytes(first + b"damaged\n" + second)
    assert len(list(read_records(tmp_path))) == 2


def test_otlp_attributes_are_of_kinds_that_it_knows() -> None:
    """Texts, numbers and lists of texts go as they are; everything else, like input and output, goes as JSON."""
    exporter = InMemorySpanExporter()
    with capture_traces(capture="content") as traces, trace("run") as run:
        run.set("names", ["a", "b"])
        run.set("mixed", [1, "b"])
        run.set("place", {"city": "Rome"})
        run.set("nothing", None)
        run.set("points", 7)
        run.set_input({"question": "Why?"})
        run.set_output("So.")
    OtlpSink(exporter=exporter).deliver([record for record in traces.records if record.kind == "s"], timeout_s=5.0)
    [sent] = exporter.get_finished_spans()
    assert sent.attributes is not None
    attributes = dict(sent.attributes)
    assert (list(attributes["names"]), attributes["points"]) == (["a", "b"], 7)
    assert [msgspec.json.decode(str(attributes[name])) for name in ("mixed", "place", "input.value", "output.value")] == [
        [1, "b"],
        {"city": "Rome"},
        {"question": "Why?"},
        "So.",
    ]
    assert "nothing" not in attributes
