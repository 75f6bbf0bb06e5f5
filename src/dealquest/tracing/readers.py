"""Read traces back: from a spool (also of a living process), from a JSONL file, or from dead letters.

Nothing here changes what it reads, but for `replay`, which sends dead letters to a sink again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dealquest.errors import InputError, NotFoundError

from .models import SpanModel, TraceModel
from .records import KINDS, Record, decode_line
from .sinks.protocol import Accepted, Sink
from .story import Trace, assemble


class _StoredRow(msgspec.Struct):
    """One line of a JSONL file."""

    kind: str
    row: msgspec.Raw


_stored_decoder = msgspec.json.Decoder(_StoredRow)


def read_records(path: str | Path) -> Iterator[Record]:
    """The records in a spool folder or in a JSONL file; torn lines are passed over.

    Raises:
        NotFoundError: `tracing.nothing_there`.
    """
    path = Path(path)
    if path.is_dir():
        for segment in sorted(path.glob("*/*.seg")) or sorted(path.glob("*.seg")):
            yield from _read_segment(segment)
    elif path.is_file():
        yield from _read_jsonl(path)
    else:
        raise NotFoundError(f"No spool folder and no JSONL file at {path}.", code="tracing.nothing_there")


def _read_segment(path: Path) -> Iterator[Record]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return  # delivered, and deleted by its owner, between two looks
    for line in data.splitlines(keepends=True):
        record = decode_line(line)
        if record is not None:
            yield record


def _read_jsonl(path: Path) -> Iterator[Record]:
    with path.open("rb") as lines:
        for line in lines:
            try:
                stored = _stored_decoder.decode(line)
            except msgspec.DecodeError:
                continue
            for kind in KINDS:
                if stored.kind == kind:
                    yield Record(kind, bytes(stored.row))


def read_traces(path: str | Path) -> list[Trace]:
    """The traces in a spool folder or in a JSONL file, newest first.

    Raises:
        NotFoundError: `tracing.nothing_there`.
    """
    return gather(read_records(path))


def gather(records: Iterator[Record] | Sequence[Record]) -> list[Trace]:
    """Traces from records; a record that is not a row of ours is passed over."""
    spans: list[SpanModel] = []
    rows: list[TraceModel] = []
    for record in records:
        try:
            row = record.decode()
        except msgspec.ValidationError:
            continue
        if isinstance(row, SpanModel):
            spans.append(row)
        else:
            rows.append(row)
    return assemble(spans, rows)


def find_trace(traces: Sequence[Trace], wanted: str) -> Trace:
    """The trace whose id begins with a text, with or without dashes.

    Raises:
        NotFoundError: `tracing.unknown_trace`.
        InputError: `tracing.ambiguous_trace` when several do.
    """
    start = wanted.replace("-", "").lower()
    found = [trace for trace in traces if start and trace.trace_id.hex.startswith(start)]
    if not found:
        raise NotFoundError(f"No trace begins with {wanted[:40]!r}.", code="tracing.unknown_trace")
    if len(found) > 1:
        raise InputError(f"{len(found)} traces begin with {wanted[:40]!r}; give more digits.", code="tracing.ambiguous_trace")
    return found[0]


def replay(records: Sequence[Record], sink: Sink, *, timeout_s: float = 10.0, batch: int = 100) -> tuple[int, list[Record]]:
    """Send records to a sink once more, such as dead letters after a repair: how many were accepted, and the rest.

    Ids make this safe to repeat; an older row never overwrites a newer one.
    """
    accepted = 0
    rest: list[Record] = []
    for kind in KINDS:
        wanted = list({record.key: record for record in records if record.kind == kind}.values())
        for start in range(0, len(wanted), batch):
            part = wanted[start : start + batch]
            if isinstance(sink.deliver(part, timeout_s=timeout_s), Accepted):
                accepted += len(part)
                continue
            for record in part:
                if isinstance(sink.deliver([record], timeout_s=timeout_s), Accepted):
                    accepted += 1
                else:
                    rest.append(record)
    return accepted, rest
