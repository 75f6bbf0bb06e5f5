r"""From a finished span to the line that is stored and sent: one JSON object, redacted, with a checksum before it.

    <crc32, 8 hex> <s|b|e> <JSON object>\n        s: span, b: a trace begins, e: a trace ends

The object is the table's row, so a request body is joined from stored lines without encoding anything again.
"""

import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from . import names
from .capture import CUT_MARGIN, MAX_SPAN_BYTES, Overlong, copy_content
from .failures import MAX_NAME
from .ids import format_span_uuid
from .redact import Redactor
from .spans import Run, Span, TraceMark

if TYPE_CHECKING:
    from .models import SpanModel, TraceModel

RecordKind: TypeAlias = Literal["s", "b", "e"]
KINDS: tuple[RecordKind, ...] = ("b", "s", "e")
PREFIX_BYTES = 11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A row that was redacted at full length may still be over the limit: then its largest parts go, in this order.
_LARGE_PARTS = ("output_data", "input_data", "attributes")

_encoder = msgspec.json.Encoder()


class Record(NamedTuple):
    """One stored row: what it is, and its JSON. A tuple: five are made for each span's way to two sinks."""

    kind: RecordKind
    body: bytes

    @property
    def key(self) -> str:
        """The row's id; it is the first field of every row."""
        start = self.body.index(b':"') + 2
        return self.body[start : start + 36].decode()

    def decode(self) -> "SpanModel | TraceModel":
        """The row as a value."""
        from .models import SpanModel, TraceModel  # noqa: PLC0415  # whoever only emits does not build them

        if self.kind == "s":
            return msgspec.json.decode(self.body, type=SpanModel)
        return msgspec.json.decode(self.body, type=TraceModel)


def encode_line(record: Record) -> bytes:
    """The stored form of a record.

    >>> decode_line(encode_line(Record("s", b"{}")))
    Record(kind='s', body=b'{}')
    """
    rest = b"%s %s" % (record.kind.encode(), record.body)
    return b"%08x %s\n" % (zlib.crc32(rest), rest)


def decode_line(line: bytes) -> Record | None:
    """The record in a line; None when the line is torn or changed."""
    kind, rest = line[9:10], line[9:].removesuffix(b"\n")
    if len(line) < PREFIX_BYTES or not line.endswith(b"\n") or kind not in {b"s", b"b", b"e"}:
        return None
    if line[:9] != b"%08x " % zlib.crc32(rest):
        return None
    found: RecordKind = "s" if kind == b"s" else "b" if kind == b"b" else "e"
    return Record(found, rest[2:])


def encode_record(item: Span | TraceMark, redactor: Redactor) -> Record:
    """The row of a span or of a trace, without secrets and within the size limit."""
    if isinstance(item, Span):
        failure = item.failure
        suspect = len(item.name) > MAX_NAME or redactor.suspects(item.name, item.attributes, item.input_data, item.output_data)
        if not suspect and failure is not None:
            suspect = redactor.suspects(failure.message, failure.type_name, failure.stack)
        return Record("s", _encode_row(_span_row(item), redactor, suspect=suspect))
    row = _trace_row(item)
    return Record("b" if item.what == "begin" else "e", _encode_row(row, redactor, suspect=redactor.suspects(row)))


def _encode_row(row: dict[str, Any], redactor: Redactor, *, suspect: bool) -> bytes:
    if suspect:
        # First of all: an overlong text is cut here, after its secrets are gone, and becomes a plain one.
        row = _clean_row(row, redactor)
    try:
        body = _encoder.encode(row)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError):
        row = _make_plain(row)
        body = _encoder.encode(row)
    if b"\\u0000" in body:
        # PostgreSQL holds no NUL in text or JSON.
        row = _make_plain(row)
        body = _encoder.encode(row)
    for part in _LARGE_PARTS:
        if len(body) <= MAX_SPAN_BYTES:
            break
        if row.get(part):
            row[part] = {names.TRUNCATED: True}
            body = _encoder.encode(row)
    return body


def _clean_row(row: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    return {**row, **{name: redactor.clean(row[name]) for name in _THEIR_TEXTS if row.get(name) is not None}}


# Columns whose text comes from outside of the tracer.
_THEIR_TEXTS = (
    *("span_name", "pipeline_name", "user_id", "error", "error_type", "model", "provider"),
    *("cost_source", "price_table", "attributes", "input_data", "output_data"),
)


def _make_plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what JSON or PostgreSQL refuses: foreign objects, lone surrogates, NUL, integers beyond 64 bits."""

    def mend(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
        if isinstance(value, dict):
            return {mend(key): mend(item) for key, item in value.items()}
        if isinstance(value, list):
            return [mend(item) for item in value]
        return value

    return {
        key: value if isinstance(value, (datetime, Decimal)) or key == "start_ns" else mend(copy_content(value))
        for key, value in row.items()
    }


def _shorten(name: str) -> str:
    return name if len(name) <= MAX_NAME else Overlong(name[: MAX_NAME + CUT_MARGIN], MAX_NAME)


def _to_time(wall_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=wall_ns // 1000)


def _span_row(span: Span) -> dict[str, Any]:
    run, facts, failure = span.run, span.attributes, span.failure
    start_ns = span.start_ns + run.tracer.wall_offset_ns
    prefix = run.uuid[:19]
    if failure is not None and failure.stack is not None:
        facts = {**facts, "exception.stacktrace": failure.stack[-8000:]}
    row: dict[str, Any] = {
        "span_id": format_span_uuid(prefix, span.span_id),
        "trace_id": run.uuid,
        "parent_span_id": format_span_uuid(prefix, span.parent_id) if span.parent_id else None,
        "span_name": _shorten(span.name),
        "kind": span.kind,
        "status": span.status,
        "start_time": _to_time(start_ns),
        "end_time": _to_time(span.end_ns + run.tracer.wall_offset_ns),
        "start_ns": start_ns,
        "duration_ms": (span.end_ns - span.start_ns) / 1e6,
        "success": span.status == "ok",
        "error": failure.message if failure is not None else None,
        "error_type": failure.type_name if failure is not None else None,
        "stack_hash": failure.stack_hash if failure is not None else None,
        "model": None,
        "provider": None,
        "input_tokens": None,
        "output_tokens": None,
        "cost_usd": None,
        "attributes": facts,
        "input_data": span.input_data,
        "output_data": span.output_data,
    }
    if span.kind == "llm" or names.REQUEST_MODEL in facts:
        _lift_model_facts(row, facts)
    return row


def _lift_model_facts(row: dict[str, Any], facts: dict[str, Any]) -> None:
    facts = names.to_current(facts)
    row["attributes"] = facts
    row["model"] = facts.get(names.RESPONSE_MODEL) or facts.get(names.REQUEST_MODEL)
    row["provider"] = facts.get(names.PROVIDER)
    row["input_tokens"] = facts.get(names.INPUT_TOKENS)
    row["output_tokens"] = facts.get(names.OUTPUT_TOKENS)
    row["cost_usd"] = facts.get(names.COST_AMOUNT)


def _trace_row(mark: TraceMark) -> dict[str, Any]:
    run = mark.run
    first = run.first
    ended = mark.what == "end" and first is not None
    wall = run.tracer.wall_offset_ns
    return {
        "trace_id": run.uuid,
        "pipeline_name": _shorten(run.name),
        "telegram_id": run.telegram_id,
        "user_id": run.user_id,
        "start_time": _to_time(mark.start_ns + wall),
        "status": first.status if ended and first is not None else "unset",
        "attributes": run.attributes,
        "sample_rate": run.tracer.sample_rate,
        **(_trace_end(run, first) if ended and first is not None else _NO_END),
    }


_NO_END: dict[str, Any] = dict.fromkeys(
    (
        *("end_time", "duration_ms", "success", "error", "span_count", "llm_calls"),
        *("input_tokens", "output_tokens", "cost_usd", "cost_source", "price_table"),
    )
)


def _trace_end(run: Run, first: Span) -> dict[str, Any]:
    sources = run.cost_sources
    return {
        "end_time": _to_time(first.end_ns + run.tracer.wall_offset_ns),
        "duration_ms": (first.end_ns - first.start_ns) / 1e6,
        "success": first.status == "ok",
        "error": first.failure.message if first.failure is not None else None,
        "span_count": run.span_count,
        "llm_calls": run.calls,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost_usd": run.cost_usd,
        "cost_source": None if not sources else sources.copy().pop() if len(sources) == 1 else "mixed",
        "price_table": ", ".join(sorted(run.price_tables)) or None,
    }
