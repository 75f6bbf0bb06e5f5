"""What traced code may hand over: foreign kinds of values, generators used in every way, rows a sink refuses again."""

import dataclasses
import enum
import math
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.testing import CapturedTraces
from dealquest.testing.trace_sinks import MoodySink, make_records
from dealquest.tracing import Accepted, Outcome, Record, Refused, Tracer, current_span, installed_tracer, replay, span, trace, traced_span
from dealquest.tracing.capture import CONTENT_BYTES, MAX_ITEMS, copy_content
from dealquest.tracing.otel import OtelBridge
from dealquest.values import Secret


class Colour(enum.Enum):
    RED = "red"


class Place(NamedTuple):
    city: str
    country: str


class Words(str):
    """Text of somebody's own kind."""

    __slots__ = ()


class View(Mapping[str, int]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> int:
        return len(key)

    def __iter__(self) -> Any:
        return iter(("a", "bb"))

    def __len__(self) -> int:
        return 2


@attrs.frozen
class Card:
    points: int
    key: str = attrs.field(default="hidden", repr=False)


@dataclasses.dataclass
class Form:
    name: str
    key: str = dataclasses.field(default="hidden", repr=False)


class Row(msgspec.Struct):
    id: int


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**63, str(2**63)),
        (-(2**63), -(2**63)),
        (b"abc", "<bytes[3]>"),
        (Secret("sk"), "***"),
        (Colour.RED, "red"),
        (Place("Bonn", "DE"), ["Bonn", "DE"]),
        (Words("hello"), "hello"),
        (OrderedDict(a=1), {"a": 1}),
        (View(), {"a": 1, "bb": 2}),
        (Card(3), {"points": 3}),
        (Form("x"), {"name": "x"}),
        (Row(4), {"id": 4}),
        ({1: "one"}, {"int": "one"}),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22 00:00:00+00:00"),
        (object(), "<object>"),
    ],
)
def test_each_kind_of_value_is_kept_in_its_way(value: object, kept: object) -> None:
    """Numbers, texts, records and mappings become JSON; secrets, hidden fields and foreign objects do not show their content."""
    assert copy_content(value) == kept


def test_depth_length_and_size_are_cut() -> None:
    """Nesting, many items and much text end in an ellipsis."""
    nested: Any = "deep"
    for _ in range(20):
        nested = [nested]
    assert "deep" not in str(copy_content(nested))
    assert copy_content(list(range(1000)))[MAX_ITEMS:] == ["…"]
    assert list(copy_content({str(number): number for number in range(1000)}))[MAX_ITEMS:] == ["…"]
    assert len(str(copy_content(["x" * 1000] * 100))) < 2 * CONTENT_BYTES
    assert len(copy_content({"x" * 100 + str(number): "y" * 200 for number in range(150)})) < 150


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_is_handed_over_becomes_a_row(value: Any) -> None:
    """No value of any kind costs a span, and what JSON or PostgreSQL refuses is not in the row."""
    traces = CapturedTraces()
    with installed_tracer(Tracer(traces, capture="content")), trace("run"), span("step", odd=value) as step:
        step.set_input(value)
    assert traces.span("step").span_name == "step"


@pytest.mark.parametrize("odd", ["\x00nul", "\ud800", math.nan, 2**70, {"\ud800": "\x00"}, [Secret("sk-canary")]])
def test_what_json_or_postgresql_refuse_is_mended(odd: Any) -> None:
    """NUL, lone surrogates, no-numbers and huge integers do not cost the span."""
    traces = CapturedTraces()
    with installed_tracer(Tracer(traces, capture="content")), trace("run"), span("step", odd=odd) as step:
        step.set_output(odd)
    row = msgspec.json.encode(traces.span("step"))
    assert b"\\u0000" not in row
    assert b"canary" not in row


def test_a_traced_generator_is_the_generator(captured_traces: CapturedTraces) -> None:
    """What is sent, thrown in, returned and closed reaches the inner generator, and each way ends its span once."""
    seen: list[str] = []

    @traced_span("talk")
    def talk() -> Generator[str, str, str]:
        try:
            heard = yield "hello"
            seen.append(heard)
            try:
                yield "again"
            except KeyError:
                seen.append("thrown")
                yield "after"
        finally:
            seen.append("closed")
        return "bye"

    with trace("run"):
        one = talk()
        assert (next(one), one.send("hi"), one.throw(KeyError())) == ("hello", "again", "after")
        with pytest.raises(StopIteration) as ended:
            next(one)
        assert ended.value.value == "bye"
        two = talk()
        next(two)
        two.close()
        three = talk()
        next(three)
        with pytest.raises(ValueError, match="outside"):
            three.throw(ValueError("outside"))
    assert seen == ["hi", "thrown", "closed", "closed", "closed"]
    assert [found.status for found in captured_traces.spans if found.span_name == "talk"] == ["ok", "ok", "error"]
    assert current_span() is None


def test_untraced_generators_cost_nothing_and_are_the_same() -> None:
    """Without a tracer a decorated generator gives what the plain one gives."""

    @traced_span
    def count() -> Generator[int, None, str]:
        yield from (1, 2)
        return "end"

    one = count()
    assert list(one) == [1, 2]


def test_rows_refused_again_stay_and_the_others_are_counted() -> None:
    """Replay sends in parts; where a part is refused each row is tried alone, and what is refused again comes back."""
    records = make_records(25)
    bad = {records[3].key, records[17].key}

    def mood(sent: Sequence[Record]) -> Outcome:
        return Refused("HTTP 400") if any(record.key in bad for record in sent) else Accepted()

    sink = MoodySink(mood=mood)
    accepted, rest = replay(records, sink, batch=10)
    assert accepted == 23
    assert {record.key for record in rest} == bad


def test_a_bridge_that_fails_is_counted_and_not_seen() -> None:
    """Another tracer's failure while its current span is kept in step does not reach the traced code."""

    class Broken(OtelBridge):
        def enter(self, span: Any) -> Any:
            if span.name == "step":
                raise RuntimeError("theirs")
            return super().enter(span)

        def leave(self, token: Any) -> None:
            super().leave(token)
            raise RuntimeError("theirs")

    traces = CapturedTraces()
    tracer = Tracer(traces, otel=True)
    tracer.bridge = Broken()
    with installed_tracer(tracer), trace("run"), span("step"):
        pass
    assert tracer.faults == 2
    assert {found.span_name for found in traces.spans} == {"run", "step"}
