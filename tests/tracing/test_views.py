"""What a reader sees: trees with orphans and unfinished runs, a safe timeline, a data frame, records of a living spool."""

import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.errors import InputError, NotFoundError
from dealquest.testing import CapturedTraces, capture_traces
from dealquest.testing.trace_sinks import MoodySink, away
from dealquest.tracing import (
    Collector,
    JsonlSink,
    Limits,
    Tracer,
    assemble,
    draw_tree,
    find_trace,
    installed_tracer,
    llm_span,
    read_traces,
    span,
    trace,
)
from dealquest.values import Usage

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_self_contained(html: str) -> None:
    tags = Tags(html)
    assert tags.open == []
    assert tags.seen <= {"div", "b", "span", "svg", "g", "title", "text", "rect"}
    assert not [name for name, value in tags.attributes if name.startswith("on") or name in {"href", "src"} or "url(" in (value or "")]
    assert len(html.encode()) <= 100_000


def test_the_timeline_is_self_contained_and_shows_tokens_and_cost(captured_traces: CapturedTraces) -> None:
    """A notebook shows names, bars, tokens and cost without a script or an address."""
    with trace("train"), llm_span("m", provider="p") as call:
        call.record_usage(Usage(input_tokens=1234, output_tokens=5), cost_usd=Decimal("0.01"))
    html = captured_traces.traces[0]._repr_html_()
    assert_self_contained(html)
    assert "1,234 → 5 tokens · $0.010000" in html
    assert html.count("<rect") == 2
    assert "currentColor" in html
    assert not re.search(r"fill=\"(#000|#fff|black|white)", html)


@given(name=st.text(min_size=1, max_size=300), value=st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_b5_no_text_breaks_out_of_the_timeline(name: str, value: str) -> None:
    """Names, attributes and errors are text, whatever they hold."""
    with (
        capture_traces() as traces,
        trace(name + "<script>alert(1)</script>\"'>"),
        span(name, value=value + "</svg><img src=x onerror=y>") as step,
    ):
        step.record_error(ValueError(value + "]]><a href=x>"))
    assert_self_contained(traces.traces[0]._repr_html_())


def test_a_huge_trace_stays_within_a_hundred_kilobytes(captured_traces: CapturedTraces) -> None:
    """Two thousand spans with long names are cut, and it is said how many are not shown."""
    with trace("run"):
        for number in range(2000):
            with span(f"{'long name ' * 18}{number}", a="&" * 400):
                pass
    html = captured_traces.traces[0]._repr_html_()
    assert_self_contained(html)
    assert re.search(r"… [0-9]+ more spans", html)


def test_orphans_and_unfinished_runs_are_shown(captured_traces: CapturedTraces) -> None:
    """A span whose parent is missing stands under its trace, marked; a run without an end says so."""
    with trace("run"), span("lost"), span("orphan"), span("leaf"):
        pass
    spans = [row for row in captured_traces.spans if row.span_name != "lost"]
    rows = [row for row in captured_traces.rows if not row.finished]
    (found,) = assemble(spans, rows)
    assert [(depth, row.span_name) for depth, row in found.walk()] == [(0, "run"), (1, "orphan"), (2, "leaf")]
    assert [row.span_name for row in found.orphans] == ["orphan"]
    assert found.status == "unfinished"
    text = draw_tree(found)
    assert "unfinished" in text
    assert "orphan" in text
    assert "orphan" in found._repr_html_()
    (whole,) = assemble(spans, captured_traces.rows)
    assert whole.missing == 1
    assert "1 spans missing" in str(whole)


def test_only_spans_or_only_a_row_make_a_trace_too(captured_traces: CapturedTraces) -> None:
    """Half of a story is told."""
    with trace("run"), span("step"):
        pass
    (spans_only,) = assemble(captured_traces.spans, [])
    assert (spans_only.name, spans_only.status, len(spans_only.spans)) == ("run", "unfinished", 2)
    (row_only,) = assemble([], captured_traces.rows)
    assert (row_only.name, row_only.status, row_only.spans) == ("run", "ok", ())
    for found in (spans_only, row_only):
        assert_self_contained(found._repr_html_())


def test_a_data_frame_has_a_row_for_each_span(captured_traces: CapturedTraces) -> None:
    """`to_pandas` gives depth and columns as in the table."""
    with trace("run"), span("step", number=1):
        pass
    frame = captured_traces.traces[0].to_pandas()
    assert list(frame["span_name"]) == ["run", "step"]
    assert list(frame["depth"]) == [0, 1]
    assert {"duration_ms", "model", "cost_usd"} <= set(frame.columns)


def test_the_spool_of_a_living_process_is_readable(tmp_path: Path) -> None:
    """While the sink is away, what waits can be read, and reading takes nothing away."""
    with Collector([MoodySink(mood=away)], spool=tmp_path, limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("run"), span("step"):
            pass
        collector.flush(0.1)
        for _ in range(2):
            (found,) = read_traces(tmp_path)
            assert (found.name, found.status, len(found.spans)) == ("run", "ok", 2)
        collector.sinks[0].mood = None  # type: ignore[attr-defined]  # our double


def test_a_file_with_foreign_lines_is_readable(tmp_path: Path) -> None:
    """Torn and foreign lines are passed over; a repeated batch counts once."""
    path = tmp_path / "t.jsonl"
    sink = JsonlSink(path)
    with capture_traces() as traces, trace("run"):
        pass
    for _ in range(2):
        sink.deliver(traces.records, timeout_s=1.0)
    sink.close()
    with path.open("ab") as file:
        file.write(b'not json\n{"kind":"s","row":{"a":1}}\n{"kind":"x","row":{}}\n{"kind":"s","ro')
    (found,) = read_traces(path)
    assert len(found.spans) == 1


def test_traces_are_found_by_the_beginning_of_their_id(captured_traces: CapturedTraces) -> None:
    """A unique beginning is enough; none and several are told apart."""
    ids = []
    for _ in range(3):
        with trace("run") as run:
            ids.append(run.trace_id)
    traces = captured_traces.traces
    assert find_trace(traces, ids[1]).trace_id.hex == ids[1]
    with pytest.raises(NotFoundError) as missing:
        find_trace(traces, "ffff")
    assert missing.value.code == "tracing.unknown_trace"
    with pytest.raises(InputError) as several:
        find_trace(traces, ids[0][:4])
    assert several.value.code == "tracing.ambiguous_trace"
    with pytest.raises(NotFoundError) as nothing:
        read_traces(Path("nowhere.jsonl"))
    assert nothing.value.code == "tracing.nothing_there"
