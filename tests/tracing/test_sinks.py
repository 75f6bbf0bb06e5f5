"""One contract for every sink, and what each does beyond it."""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dealquest.testing import ScriptedTransport, answer_json, capture_traces, fail
from dealquest.testing.loopback import Arrival, LoopbackServer, Reply
from dealquest.testing.trace_server import TraceTables
from dealquest.testing.trace_sinks import make_records
from dealquest.tracing import (
    Accepted,
    Collector,
    ConsoleSink,
    JsonlSink,
    Limits,
    MemorySink,
    OtlpSink,
    PostgrestSink,
    Record,
    Refused,
    Sink,
    Tracer,
    Unavailable,
    installed_tracer,
    langfuse_sink,
    llm_span,
    read_traces,
    span,
    trace,
)
from dealquest.tracing.sinks.postgrest import read_answer
from dealquest.values import Secret, Usage
from dealquest.wire import HttpResponse

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


@pytest.fixture
def tables() -> Iterator[TraceTables]:
    with TraceTables() as server:
        yield server


@pytest.fixture(params=["memory", "jsonl", "console", "postgrest", "otlp"])
def sink_and_count(request: pytest.FixtureRequest, tmp_path: Path, tables: TraceTables) -> Iterator[tuple[Sink, Callable[[], int]]]:
    """Each sink, and how many span ids lie in it."""
    sink: Sink
    if request.param == "memory":
        memory = MemorySink()
        sink, count = memory, lambda: len({row.span_id for row in memory.spans})
    elif request.param == "jsonl":
        path = tmp_path / "deep" / "traces.jsonl"
        sink, count = JsonlSink(path), lambda: sum(len(found.spans) for found in read_traces(path))
    elif request.param == "console":
        stream = io.StringIO()
        sink, count = ConsoleSink(stream), lambda: stream.getvalue().count("step ")
    elif request.param == "postgrest":
        sink, count = PostgrestSink.over_http(tables.base_url), lambda: len(tables.spans)
    else:
        exporter = InMemorySpanExporter()
        sink, count = (
            OtlpSink(exporter=exporter),
            lambda: len({found.context.span_id for found in exporter.get_finished_spans() if found.context}),
        )
    yield sink, count
    sink.close()


def test_contract_a_batch_of_each_kind_is_accepted_and_ids_count_once(sink_and_count: tuple[Sink, Callable[[], int]]) -> None:
    """Beginnings, spans and ends are taken; the same batch again stores no id twice; closing twice is fine."""
    sink, count = sink_and_count
    with capture_traces() as traces, trace("run"):
        for _ in range(5):
            with span("step "):
                pass
    records = [record for record in traces.records if record.decode() is not None]
    with capture_traces() as again:
        pass
    assert again.records == []
    spans = [record for record in records if record.kind == "s" and b'"step "' in record.body]
    for kind in "bse":
        batch = [record for record in records if record.kind == kind]
        if kind == "s":
            batch = spans
        assert isinstance(sink.deliver(batch, timeout_s=5.0), Accepted)
    assert count() == 5
    if not isinstance(sink, ConsoleSink):
        assert isinstance(sink.deliver(spans, timeout_s=5.0), Accepted)
        assert count() == 5
    sink.close()
    sink.close()


def test_contract_through_the_collector(sink_and_count: tuple[Sink, Callable[[], int]], tmp_path: Path) -> None:
    """Everything emitted arrives, and the books say so."""
    sink, count = sink_and_count
    with Collector([sink], spool=tmp_path / "spool", limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("run"):
            for _ in range(50):
                with span("step "):
                    pass
        assert collector.flush(10) == {}
        assert collector.read_accounts()[sink.name].balanced
    assert count() in {50, 51}


def test_rows_of_postgrest_are_typed_and_complete(tables: TraceTables) -> None:
    """A run's rows carry status, model, tokens and cost, and its row is finished."""
    with Collector([PostgrestSink.over_http(tables.base_url)], limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("train"), llm_span("m", provider="p") as call:
            call.record_usage(Usage(input_tokens=3, output_tokens=4), cost_usd=Decimal("0.5"))
        assert collector.flush(10) == {}
    (row,) = tables.traces.values()
    assert (row["status"], row["input_tokens"], row["cost_usd"], row["span_count"]) == ("ok", 3, "0.5", 2)
    found = next(one for one in tables.spans.values() if one["kind"] == "llm")
    assert (found["model"], found["provider"], found["output_tokens"]) == ("m", "p", 4)
    assert {one["trace_id"] for one in tables.spans.values()} == {row["trace_id"]}
    assert tables.violations == []


def test_a_killed_pipeline_shows_as_unfinished(tables: TraceTables) -> None:
    """A trace that began and did not end has a row that says so."""
    with Collector([PostgrestSink.over_http(tables.base_url)], limits=FAST) as collector, installed_tracer(Tracer(collector)):
        run = trace("train")
        with run:
            assert collector.flush(10) == {}
            (row,) = tables.traces.values()
            assert (row["status"], row["end_time"]) == ("unset", None)
        assert collector.flush(10) == {}
    (row,) = tables.traces.values()
    assert row["status"] == "ok"


def test_one_bad_row_in_a_hundred_is_the_only_one_that_fails(tables: TraceTables, tmp_path: Path) -> None:
    """Rows that the database refuses are dead letters; the other ninety-nine in a hundred arrive."""
    tables.is_bad = lambda row: (row.get("attributes") or {}).get("number", 1) % 100 == 0
    sink = PostgrestSink.over_http(tables.base_url)
    with Collector([sink], spool=tmp_path, limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("run"):
            for number in range(400):
                with span("step", number=number):
                    pass
        assert collector.flush(20) == {}
        account = collector.read_accounts()["postgrest"]
    assert (account.dead, account.balanced) == (4, True)
    assert len(tables.spans) == 397
    letters = [json.loads(line) for line in (tmp_path / "dead-postgrest.jsonl").read_text().splitlines()]
    assert {letter["row"]["attributes"]["number"] for letter in letters} == {0, 100, 200, 300}
    assert {letter["reason"] for letter in letters} == {"HTTP 400 22001"}


@pytest.mark.parametrize("weather", ["503", "400", "401", "hang", "slow", "reply_lost", "429"])
def test_an_outage_of_any_kind_loses_and_doubles_nothing(tables: TraceTables, tmp_path: Path, weather: Any) -> None:
    """Whatever the sink does for a while, afterwards every span is there once and nothing is a dead letter."""
    tables.weather = weather
    sink = PostgrestSink.over_http(tables.base_url)
    with Collector([sink], spool=tmp_path, limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("run"):
            for _ in range(100):
                with span("step"):
                    time.sleep(0.002)
        collector.flush(0.3)
        tables.weather = "fine"
        assert collector.flush(20) == {}
        account = collector.read_accounts()["postgrest"]
    assert (account.dead, account.dropped, account.balanced) == (0, {}, True)
    assert len(tables.spans) == 101


def test_a_sink_that_refuses_connections_comes_back(tmp_path: Path) -> None:
    """Nothing listens for a while, old connections are cut too: afterwards everything arrives."""
    with TraceTables() as first:
        port = first.port
        collector = Collector([PostgrestSink.over_http(first.base_url)], spool=tmp_path, limits=FAST)
        tracer = Tracer(collector)
        with installed_tracer(tracer), span("before"):
            pass
        assert collector.flush(10) == {}
    with installed_tracer(tracer), span("during"):
        pass
    assert collector.flush(0.3) == {"postgrest": 3}
    with TraceTables(port) as second:
        assert collector.flush(10) == {}
        assert len(second.spans) == 1
        collector.close()


def test_a_sink_whose_event_loop_died_starts_another() -> None:
    """A transport that could not be opened once is opened again with the next batch."""
    tries = []

    class Opening:
        async def __aenter__(self) -> ScriptedTransport:
            tries.append(1)
            if len(tries) == 1:
                raise OSError
            return ScriptedTransport(lambda _: answer_json({}, status=201), repeat=True)

        async def __aexit__(self, *_: object) -> None:
            return

    sink = PostgrestSink(open_transport=Opening)
    assert isinstance(sink.deliver(make_records(1), timeout_s=0.3), Unavailable)
    assert isinstance(sink.deliver(make_records(1), timeout_s=5.0), Accepted)
    sink.close()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, b"", Accepted),
        (200, b"[]", Accepted),
        (400, b'{"code":"22001"}', Refused),
        (409, b'{"code":"23505"}', Refused),
        (400, b"<html>", Refused),
        (400, b'{"code":"PGRST204"}', Unavailable),
        (400, b'{"code":"42501"}', Unavailable),
        (404, b'{"code":"42P01"}', Unavailable),
        (401, b"", Unavailable),
        (403, b"", Unavailable),
        (413, b"", Refused),
        (429, b"", Unavailable),
        (500, b"", Unavailable),
        (301, b"", Unavailable),
    ],
)
def test_answers_mean_what_they_say(status: int, body: bytes, expected: type) -> None:
    """A row's fault, an operator's and a moment's are told apart."""
    assert isinstance(read_answer(HttpResponse(status=status, body=body)), expected)


def test_an_answer_never_reaches_the_reason_raw() -> None:
    """An error body that echoes our key is not written down."""
    outcome = read_answer(HttpResponse(status=400, body=b'{"code":"sk-secret key","message":"sk-secret"}'))
    assert outcome == Refused("HTTP 400")


@pytest.mark.anyio
async def test_a_sink_on_the_hosts_event_loop(tmp_path: Path) -> None:
    """A transport that lives on the application's loop is driven there; before and after, rows wait."""
    seen: list[tuple[str, str]] = []

    class Engine(ScriptedTransport):
        async def send(self, request: Any) -> HttpResponse:
            await anyio.lowlevel.checkpoint()
            seen.append((request.method, request.url.split("?")[0]))
            return HttpResponse(status=201)

    sink = PostgrestSink(Engine(), prefix="/rest")
    assert isinstance(sink.deliver(make_records(1), timeout_s=0.1), Unavailable)
    async with Collector([sink], spool=tmp_path, limits=FAST) as collector:
        with installed_tracer(Tracer(collector)):
            async with trace("run"):
                pass
        assert await anyio.to_thread.run_sync(collector.flush) == {}
    assert set(seen) == {("POST", "/rest/pipeline_traces"), ("POST", "/rest/pipeline_spans")}
    assert isinstance(sink.deliver(make_records(1), timeout_s=0.1), Unavailable)


@pytest.mark.anyio
async def test_a_transports_failure_is_an_outage() -> None:
    """Whatever the wire raises, the rows are kept."""
    transport = ScriptedTransport(fail("wire.connect"), fail("wire.broken"))
    sink = PostgrestSink(transport)
    async with anyio.create_task_group() as tasks:
        await tasks.start(sink.run)
        for _ in range(2):
            outcome = await anyio.to_thread.run_sync(lambda: sink.deliver(make_records(1), timeout_s=1.0))
            assert isinstance(outcome, Unavailable)
        tasks.cancel_scope.cancel()


def test_console_prints_trees_and_steers_no_terminal() -> None:
    """A finished trace is a tree with tokens and cost; control characters stay out."""
    stream = io.StringIO()
    with Collector([ConsoleSink(stream)], limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("train"), llm_span("m\x1b[31m", provider="p") as call:
            call.record_usage(Usage(input_tokens=3, output_tokens=4), cost_usd=Decimal("0.5"))
        assert collector.flush(5) == {}
    text = stream.getvalue()
    assert "✓ train" in text
    assert "3 → 4 tokens · $0.500000" in text
    assert "\x1b" not in text


def test_a_jsonl_file_on_a_full_disk_waits() -> None:
    """A disk that takes nothing is an outage of this sink."""
    assert isinstance(JsonlSink(Path("/dev/full")).deliver(make_records(1), timeout_s=1.0), Unavailable)


def test_otlp_spans_carry_ids_parents_status_and_names() -> None:
    """The SDK's spans have our ids, parents, kinds, events and the convention's attributes."""
    exporter = InMemorySpanExporter()
    sink = OtlpSink(exporter=exporter)
    with capture_traces() as traces, trace("train") as run, llm_span("m", provider="p") as call:
        call.record_usage(Usage(input_tokens=3))
        call.record_error(ValueError("x"))
    assert isinstance(sink.deliver([record for record in traces.records if record.kind == "s"], timeout_s=5.0), Accepted)
    call_span, root = exporter.get_finished_spans()
    assert root.context is not None
    assert call_span.parent is not None
    assert f"{root.context.trace_id:032x}" == run.trace_id
    assert call_span.parent.span_id == root.context.span_id
    assert call_span.kind.name == "CLIENT"
    assert call_span.status.status_code.name == "ERROR"
    assert call_span.attributes is not None
    assert call_span.attributes["gen_ai.usage.input_tokens"] == 3
    assert call_span.attributes["error.type"] == "ValueError"
    assert [event.name for event in call_span.events] == ["exception"]
    assert call_span.instrumentation_scope is not None
    assert call_span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/gen-ai/0.1.0"


def test_otlp_failures_are_told_apart() -> None:
    """An exporter that fails keeps the spans waiting."""

    class Failing(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.FAILURE

    assert isinstance(OtlpSink(exporter=Failing()).deliver(make_records(2), timeout_s=1.0), Unavailable)


class OtlpServer(LoopbackServer):
    """Answers as told."""

    status = 200

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str | None, str | None]] = []

    def answer(self, arrival: Arrival) -> Reply:
        for _ in arrival.chunks():
            pass
        self.seen.append((arrival.path, arrival.header("authorization"), arrival.header("x-langfuse-ingestion-version")))
        return Reply(status=self.status)


def test_langfuse_is_otlp_with_its_headers() -> None:
    """The preset posts to Langfuse's path with basic auth and its version header; a refusal is a refusal."""
    with OtlpServer() as server:
        sink = langfuse_sink(server.base_url, public_key="pk", secret_key=Secret("sk"))
        assert isinstance(sink.deliver(make_records(2), timeout_s=5.0), Accepted)
        assert server.seen == [("/api/public/otel/v1/traces", "Basic cGs6c2s=", "4")]
        server.status = 400
        assert isinstance(sink.deliver(make_records(2), timeout_s=5.0), Refused)
        server.status = 401
        assert isinstance(sink.deliver(make_records(2), timeout_s=5.0), Unavailable)
        sink.close()


def test_records_know_their_key() -> None:
    """A record's key is its row's id."""
    for record in make_records(3):
        assert isinstance(record, Record)
        assert json.loads(record.body)["span_id"] == record.key
