"""The rarer ends of spans, logs and sinks: each is counted or said, and none raises into traced code."""

import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from dealquest.errors import DealQuestError, InputError
from dealquest.testing import CapturedTraces, ScriptedTransport, answer_bytes, answer_json
from dealquest.testing.trace_sinks import MoodySink, emit_spans, make_records
from dealquest.tracing import (
    Accepted,
    Collector,
    Limits,
    Outcome,
    Record,
    Refused,
    RemoteTraces,
    Tracer,
    Unavailable,
    installed_tracer,
    outgoing_headers,
    span,
    trace,
)
from dealquest.tracing.accounts import DEAD_FILE_BYTES, DeadLetters
from dealquest.tracing.log import Log
from dealquest.tracing.records import MAX_SPAN_BYTES, encode_line
from dealquest.tracing.segments import FileSegment, MemorySegment
from dealquest.tracing.sender import Dead
from dealquest.tracing.sinks.console import ConsoleSink
from dealquest.tracing.sinks.otlp import OtlpSink
from dealquest.tracing.spool import find_orphans

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


def lines(count: int) -> list[bytes]:
    return [encode_line(Record("s", b'{"span_id":"%036d"}' % number)) for number in range(count)]


def open_log(folder: Path | None, *sinks: str) -> Log:
    return Log(sinks or ("a",), folder=folder, ring_bytes=1 << 20, fsync=False, monotonic=lambda: 0.0, warn=lambda *_: None)


def test_outside_of_a_trace_there_is_nothing_to_carry() -> None:
    """No header goes out, a trace without a tracer is nothing, and inside of one it joins the tracer around it."""
    assert outgoing_headers() == ()
    with trace("nothing") as nothing:
        assert nothing is not None
        assert outgoing_headers() == ()
    traces = CapturedTraces()
    with trace("run", tracer=Tracer(traces)):
        assert dict(outgoing_headers()).keys() == {"traceparent"}
        with trace("inner"):
            pass
    assert {found.span_name for found in traces.spans} == {"run", "inner"}


def test_a_span_ends_once_and_keeps_what_it_is_allowed_to() -> None:
    """A second end changes nothing; with capture off neither input nor output is kept; a property that raises is counted."""

    class Raising(dict[str, str]):
        def __len__(self) -> int:
            raise RuntimeError("theirs")

    traces = CapturedTraces()
    tracer = Tracer(traces, capture="off")
    with installed_tracer(tracer), trace("run"), span("step") as step:
        step.set_input("secret words")
        step.set_output(Raising(), capture="content")
        step.set_output("secret words")
        step.end()
        step.end(ValueError("late"))
    found = traces.span("step")
    assert (found.input_data, found.output_data, found.status) == (None, None, "ok")


def test_a_span_that_is_too_large_loses_its_largest_parts() -> None:
    """Attributes of a hundred kilobytes are left out and marked, and the span is kept."""
    traces = CapturedTraces()
    with installed_tracer(Tracer(traces)), trace("run"), span("step", **{f"k{number}": "x" * 4000 for number in range(60)}):
        pass
    assert len(repr(traces.span("step").attributes)) < MAX_SPAN_BYTES


def test_a_log_takes_nothing_for_sinks_it_does_not_know() -> None:
    """An unknown sink reads nothing and waits for nothing; no lines change nothing; memory is read in bounded parts."""
    log = open_log(None)
    log.append([])
    log.append(lines(10))
    assert (log.read("other", max_records=9, max_bytes=9), log.count_pending("other")) == (None, 0)
    assert not log.evict_oldest("spool_full")
    batch = log.read("a", max_records=100, max_bytes=1)
    assert batch is not None
    assert len(batch.records) == 1
    log.abandon()
    memory = MemorySegment()
    memory.append(lines(3))
    assert len(memory.read(0, 10, 1 << 20)[0]) == 3


def test_a_line_longer_than_a_batch_is_read_all_the_same(tmp_path: Path) -> None:
    """A reader whose room ends within a line gets whole lines, and none counts as torn."""
    segment = FileSegment(tmp_path / "1.seg")
    segment.create()
    segment.append(lines(2))
    found, after, torn = segment.read(0, 10, 5)
    assert (len(found), after, torn) == (2, segment.size, 0)
    segment.close()


def test_what_a_dead_process_left_is_swept_by_age_and_by_size(tmp_path: Path) -> None:
    """Old segments are dropped and counted for the sinks that had not read them; a cursor that makes no sense begins at the start."""
    log = open_log(tmp_path / "spool" / "dead", "a", "b")
    log.append(lines(5))
    batch = log.read("a", max_records=10, max_bytes=1 << 20)
    assert batch is not None
    log.acknowledge("a", batch)
    log.close()
    (tmp_path / "spool" / "dead" / "cursor-b").write_bytes(b"no numbers here")
    ((folder, owned),) = find_orphans(tmp_path / "spool", tmp_path / "none")
    adopted = Log.adopt(folder, owned, ["a", "b"], warn=lambda *_: None)
    assert (adopted.count_pending("a"), adopted.count_pending("b")) == (0, 5)
    adopted.evict_older_than(time.time() + 60, "spool_age")
    assert (dict(adopted.dropped["a"]), dict(adopted.dropped["b"])) == ({"spool_age": 0}, {"spool_age": 5})
    assert adopted.is_done
    adopted.close()
    adopted.close()


def test_dead_letters_wait_in_memory_or_in_a_file_that_turns_over(tmp_path: Path) -> None:
    """Without a spool the last ones are kept in memory; a file that grew large is set aside for a new one."""
    (record,) = make_records(1)
    memory, file = DeadLetters(None), DeadLetters(tmp_path)
    memory.bury("a", [Dead(record, "no")])
    assert [sink for sink, _ in memory.kept] == ["a"]
    file.bury("a", [Dead(record, "no")])
    with (tmp_path / "dead-a.jsonl").open("ab") as grown:
        grown.truncate(DEAD_FILE_BYTES)
    file.bury("a", [Dead(record, "no")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dead-a.old.jsonl"]


def test_a_collector_without_sinks_keeps_nothing_and_closes_twice() -> None:
    """Spans for nobody are dropped without a file, and a second close changes nothing; one that never began closes too."""
    collector = Collector([])
    with collector, installed_tracer(Tracer(collector)):
        emit_spans(3)
    assert collector.close() == {}
    assert Collector([MoodySink()]).close() == {}


@pytest.mark.parametrize("moment", ["probe", "part", "confirm"])
def test_an_outage_in_the_middle_of_a_search_blames_no_row(tmp_path: Path, moment: str) -> None:
    """While bad rows are looked for the sink goes away: nothing becomes a dead letter, and all arrives when it is back."""
    calls = 0
    limit = {"probe": 1, "part": 3, "confirm": 12}[moment]

    def mood(sent: Sequence[Record]) -> Outcome:
        nonlocal calls
        calls += 1
        if calls == limit + 1:
            return Unavailable("gone for a moment")
        bad = any(b"step-3" in record.body or b'"n":3' in record.body for record in sent)
        return Refused("HTTP 400 22001") if bad else Accepted()

    sink = MoodySink(mood=mood)
    with Collector([sink], spool=tmp_path, limits=FAST) as collector:
        with installed_tracer(Tracer(collector)), trace("run"):
            for number in range(8):
                with span(f"step-{number}"):
                    pass
        collector.flush(20)
        account = collector.read_accounts()["moody"]
    assert account.delivered + account.dead == account.emitted
    assert account.dead == 1


def test_a_terminal_forgets_traces_that_never_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Open traces are bounded, and a sink without a stream of its own writes to the error stream of the moment."""
    sink = ConsoleSink()
    with Collector([sink], limits=FAST) as collector, installed_tracer(Tracer(collector)):
        with trace("seen"):
            pass
        collector.flush(5)
    assert "seen" in capsys.readouterr().err


async def test_rows_are_read_with_care() -> None:
    """A pipeline's name is checked before it goes into an address; server faults, refusals and foreign rows are three errors."""
    for name in ("", "a&limit=9"):
        with pytest.raises(InputError):
            await RemoteTraces(ScriptedTransport()).list_traces(pipeline=name)
    steps = (answer_bytes(b"", status=503), answer_json({}, status=403), answer_json([{"surely": 1}]), answer_bytes(b"<html>"))
    for step in steps:
        with pytest.raises(DealQuestError) as caught:
            await RemoteTraces(ScriptedTransport(step)).list_traces()
        assert caught.value.code == "tracing.read"
    with pytest.raises(DealQuestError) as caught:
        await RemoteTraces(ScriptedTransport(answer_json([]), answer_json([]))).read_trace(UUID(int=1))
    assert caught.value.code == "tracing.unknown_trace"
    assert await RemoteTraces(ScriptedTransport(answer_json([]))).list_traces(pipeline="my run") == []


def test_an_exporter_of_ones_own_survives_a_fork() -> None:
    """A child opens connections of its own; an exporter that was handed in stays as it is."""
    sink = OtlpSink("http://127.0.0.1:9/v1/traces")
    before = sink._exporter
    sink.reset_after_fork()
    assert sink._exporter is not before
    handed = OtlpSink("http://127.0.0.1:9/v1/traces", exporter=before)
    handed.reset_after_fork()
    assert handed._exporter is before
    sink.close()
