"""Read traces back: from a spool (also of a living process), from a JSONL file or dead letters, from PostgREST.

Nothing here changes what it reads, but for `replay`, which sends dead letters to a sink again.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from dealquest.errors import InputError, NotFoundError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.wire import Headers, HttpRequest, Transport

from .models import SPAN_COLUMNS, TRACE_COLUMNS, SpanModel, TraceModel
from .records import KINDS, Record, decode_line
from .sinks.protocol import Accepted, Sink
from .story import Trace, assemble

PAGE_ROWS = 1000
READ_BYTES = 64 * 1024 * 1024


class _StoredRow(msgspec.Struct):
    """One line of a JSONL file."""

    kind: str
    row: msgspec.Raw


_stored_decoder = msgspec.json.Decoder(_StoredRow)


def read_records(path: Path) -> Iterator[Record]:
    """The records in a spool folder or in a JSONL file; torn lines are passed over.

    Raises:
        NotFoundError: `tracing.nothing_there`.
    """
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


def read_traces(path: Path) -> list[Trace]:
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


class RemoteTraces:
    """Traces in the tables of a PostgREST base.

    Args:
        transport: Answers requests.
        prefix: What stands before the table's name.
        headers: Sent with each request.
        timeout_s: For each request.
    """

    def __init__(self, transport: Transport, *, prefix: str = "", headers: Headers = (), timeout_s: float = 30.0) -> None:
        self._transport = transport
        self._prefix = prefix.rstrip("/")
        self._headers = headers
        self._timeout_s = timeout_s

    async def list_traces(self, *, limit: int = 20, pipeline: str | None = None) -> list[TraceModel]:
        """The newest rows of `pipeline_traces`.

        Raises:
            InputError: `tracing.pipeline_name` for a name with anything but letters, digits, `_`, `-`, `.` and blanks.
            PeerUnavailableError, PeerRefusedError, PeerGarbledError: `tracing.read`.
        """
        wanted = ""
        if pipeline is not None:
            if not pipeline or not all(character.isalnum() or character in "_-. " for character in pipeline):
                raise InputError("A pipeline's name has letters, digits, _, -, . and blanks.", code="tracing.pipeline_name")
            wanted = f"&pipeline_name=eq.{pipeline.replace(' ', '%20')}"
        query = f"select={','.join(TRACE_COLUMNS)}&order=start_time.desc&limit={limit}{wanted}"
        return await self._get("pipeline_traces", query, TraceModel)

    async def read_trace(self, trace_id: UUID) -> Trace:
        """One trace with all its spans.

        Raises:
            NotFoundError: `tracing.unknown_trace`.
            PeerUnavailableError, PeerRefusedError, PeerGarbledError: `tracing.read`.
        """
        rows = await self._get("pipeline_traces", f"select={','.join(TRACE_COLUMNS)}&trace_id=eq.{trace_id}", TraceModel)
        spans = [span async for span in self._pages(trace_id)]
        if not rows and not spans:
            raise NotFoundError(f"No trace {trace_id}.", code="tracing.unknown_trace")
        return assemble(spans, rows)[0]

    async def _pages(self, trace_id: UUID) -> AsyncIterator[SpanModel]:
        offset = 0
        while True:
            # A numeric column of PostgreSQL arrives as a JSON number; as text it keeps every digit.
            query = f"select={','.join(SPAN_COLUMNS)}&trace_id=eq.{trace_id}&order=start_ns,span_id&limit={PAGE_ROWS}&offset={offset}"
            page = await self._get("pipeline_spans", query, SpanModel)
            for span in page:
                yield span
            if len(page) < PAGE_ROWS:
                return
            offset += PAGE_ROWS

    async def _get(self, table: str, query: str, model: type[Any]) -> list[Any]:
        answer = await self._transport.send(
            HttpRequest(
                method="GET",
                url=f"{self._prefix}/{table}?{query}",
                headers=self._headers,
                timeout_s=self._timeout_s,
                max_bytes=READ_BYTES,
            )
        )
        if answer.status >= 500:
            raise PeerUnavailableError(f"Reading {table} failed with HTTP {answer.status}.", code="tracing.read")
        if answer.status >= 400:
            raise PeerRefusedError(f"Reading {table} was refused with HTTP {answer.status}; only project_admin may.", code="tracing.read")
        try:
            rows: list[Any] = msgspec.json.decode(answer.body, type=list[model])  # type: ignore[valid-type]  # a class at run time
        except msgspec.DecodeError as exc:
            raise PeerGarbledError(f"Rows of {table} are not what was asked for.", code="tracing.read") from exc
        return rows


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
