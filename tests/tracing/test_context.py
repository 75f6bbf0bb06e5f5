"""Trace headers in and out, sampling, roll-up, ids."""

import os
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import InputError
from dealquest.testing import CapturedTraces, FrozenClock, capture_traces
from dealquest.tracing import (
    MemoryRecorder,
    Tracer,
    current_span,
    installed_tracer,
    llm_span,
    names,
    outgoing_headers,
    parse_traceparent,
    span,
    trace,
)
from dealquest.tracing.ids import IdSource, decode_span_uuid, encode_span_uuid, format_span_uuid
from dealquest.values import Principal, Usage

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_callers_trace_goes_on(captured_traces: CapturedTraces) -> None:
    """A valid header makes the run a child of the caller's span, and the state travels on."""
    with trace("run", traceparent=HEADER, tracestate="vendor=1") as run:
        headers = dict(outgoing_headers())
    assert run.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    found = captured_traces.span("run")
    assert found.parent_span_id == encode_span_uuid(int(run.trace_id, 16), 0x00F067AA0BA902B7)
    assert headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert headers["traceparent"].endswith(f"{decode_span_uuid(found.span_id):016x}-01")
    assert headers["tracestate"] == "vendor=1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "junk",
        HEADER.upper(),
        HEADER.replace("00-4", "ff-4"),
        HEADER + "-x",
        HEADER[:-1],
        HEADER.replace("00f067aa0ba902b7", "0" * 16),
        HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        HEADER.replace("4bf9", "4bg9"),
        "00-" + "a" * 100_000,
    ],
)
def test_an_invalid_header_begins_a_new_trace(captured_traces: CapturedTraces, header: str) -> None:
    """Nothing of an invalid header is believed."""
    with trace("run", traceparent=header, tracestate="vendor=1") as run:
        assert "tracestate" not in dict(outgoing_headers())
    assert run.trace_id != "4bf92f3577b34da6a3ce929d0e0e4736"
    assert captured_traces.span("run").parent_span_id is None


def test_a_header_of_a_later_version_is_read(captured_traces: CapturedTraces) -> None:
    """A later version may append fields."""
    with trace("run", traceparent=HEADER.replace("00-4", "01-4") + "-more") as run:
        pass
    assert run.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_an_unsampled_caller_is_honoured(captured_traces: CapturedTraces) -> None:
    """With the sampled flag off nothing is recorded, and callees hear the same."""
    with trace("run", traceparent=HEADER[:-1] + "0"), span("step"):
        assert dict(outgoing_headers())["traceparent"].endswith("-00")
    assert captured_traces.records == []


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-fA-F]{2}(-[0-9a-f]{32})(-[0-9a-f]{16})-[0-9a-f]{2}(-.{0,5})?", fullmatch=True))
def test_the_header_parser_never_raises(text: str) -> None:
    """Any text is a header or is none; what is parsed formats back."""
    found = parse_traceparent(text)
    if found is not None:
        assert f"{found[0]:032x}-{found[1]:016x}-{found[2]:02x}" in text


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_headers_round_trip(trace_id: int, span_id: int, flags: int) -> None:
    """A formatted header parses to what went in."""
    assert parse_traceparent(f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}") == (trace_id, span_id, flags)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1))
def test_span_uuids_are_reversible(trace_id: int, span_id: int) -> None:
    """A span's UUID holds its id, and both ways to make it agree."""
    uuid = encode_span_uuid(trace_id, span_id)
    assert decode_span_uuid(uuid) == span_id
    assert format_span_uuid(str(UUID(int=trace_id))[:19], span_id) == str(uuid)


def test_trace_ids_are_version_7_and_ordered() -> None:
    """Trace ids are RFC 9562 version 7, unique, and grow with time."""
    now = [1_700_000_000_000_000_000]
    source = IdSource(wall_ns=lambda: now[0])
    ids = []
    for _ in range(1000):
        ids.append(source.draw_trace_id())
        now[0] += 1_000_000
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {(UUID(int=found).version, UUID(int=found).variant) for found in ids} == {(7, "specified in RFC 4122")}


def test_a_forked_child_draws_other_ids() -> None:
    """Parent and child do not repeat each other's ids."""
    tracer = Tracer(MemoryRecorder())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(tracer.draw_bits(64)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = int(os.read(read, 100))
    assert theirs != tracer.draw_bits(64)
    os.close(read)
    os.close(write)


def test_sampling_keeps_its_share_and_says_so() -> None:
    """A rate of a quarter keeps about a quarter of traces, whole ones, and their rows carry the rate."""
    recorder = MemoryRecorder()
    with installed_tracer(Tracer(recorder, sample_rate=0.25, seed=3)):
        for _ in range(1000):
            with trace("run"), span("step"):
                pass
    traces = recorder.traces
    assert 200 < len(traces) < 300
    assert all(len(found.spans) == 2 and found.row is not None and found.row.sample_rate == 0.25 for found in traces)
    assert "sampled at 0.25" in str(traces[0])


def test_a_rate_outside_of_its_range_is_refused() -> None:
    """A sample rate of more than all is the caller's mistake."""
    with pytest.raises(InputError) as caught:
        Tracer(MemoryRecorder(), sample_rate=1.5)
    assert caught.value.code == "tracing.sample_rate"


def test_model_calls_roll_up_once(captured_traces: CapturedTraces) -> None:
    """Tokens and cost are summed over model calls only, with their source; an agent's own totals do not count twice."""
    user = Principal(role="authenticated", subject="u-1", claims={"telegram_id": 77})
    with trace("train", user=user), span("agent", kind="agent") as agent:
        for _ in range(2):
            with llm_span("m-1", provider="openai", **{names.ATTEMPTS: 2}) as call:
                call.mark_first_content()
                call.record_usage(
                    Usage(input_tokens=100, output_tokens=20, cached_tokens=60), cost_usd=Decimal("0.0012"), price_table="2026-11"
                )
        agent.set(names.INPUT_TOKENS, 200)
    row = captured_traces.traces[0].row
    assert row is not None
    assert (row.user_id, row.telegram_id, row.llm_calls, row.span_count) == ("u-1", 77, 2, 4)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (200, 40, Decimal("0.0024"))
    assert (row.cost_source, row.price_table) == ("local", "2026-11")
    call_row = next(found for found in captured_traces.spans if found.kind == "llm")
    assert (call_row.span_name, call_row.model, call_row.provider) == ("chat m-1", "m-1", "openai")
    assert (call_row.input_tokens, call_row.output_tokens, call_row.cost_usd) == (100, 20, Decimal("0.0012"))
    assert call_row.attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    assert call_row.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert call_row.attributes["dealquest.attempts"] == 2


def test_a_call_that_outlives_its_trace_mends_the_totals(captured_traces: CapturedTraces) -> None:
    """A background model call that ends later is in the trace's last row."""
    with trace("run"):
        late = llm_span("m", provider="p")
    with late:
        late.record_usage(Usage(input_tokens=7))
    row = captured_traces.traces[0].row
    assert row is not None
    assert (row.input_tokens, row.llm_calls) == (7, 1)


def test_old_and_foreign_names_are_read_and_ours_are_pinned() -> None:
    """The name table is pinned to one version of the convention, and older names arrive under today's."""
    assert names.VERSION == "0.1.0"
    assert names.CACHE_WRITE_TOKENS == "gen_ai.usage.cache_write.input_tokens"
    assert names.to_current({"gen_ai.usage.prompt_tokens": 1, "llm.model_name": "m", "gen_ai.usage.cache_creation.input_tokens": 2}) == {
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.request.model": "m",
        "gen_ai.usage.cache_write.input_tokens": 2,
    }
    assert names.to_current({"gen_ai.system": "old", "gen_ai.provider.name": "new"}) == {"gen_ai.provider.name": "new"}
    assert not set(names.ALIASES) & set(names.ALIASES.values())


def test_a_fake_clock_and_seeded_ids_repeat() -> None:
    """With a frozen clock and a seed two runs give equal rows."""

    def once() -> list[object]:
        with capture_traces(clock=FrozenClock(), seed=5) as traces, trace("run"), span("step"):
            assert current_span() is not None
        return list(traces.records)

    assert once() == once() != []
