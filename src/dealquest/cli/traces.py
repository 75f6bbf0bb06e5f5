"""`dealquest traces`: pipeline runs from the database, from a JSONL file, or from the spool of a living process."""

import functools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from uuid import UUID

import anyio
import msgspec
from anyio import to_thread
from cyclopts import App

from dealquest.errors import InputError, NotFoundError
from dealquest.settings import Settings, load_settings
from dealquest.tracing import (
    PipelineStats,
    PostgrestSink,
    Record,
    RemoteTraces,
    SpanModel,
    Trace,
    TraceModel,
    draw_tree,
    find_trace,
    gather,
    read_records,
    read_traces,
    replay,
    summarize,
)
from dealquest.wire import Transport

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

FOLLOW_S = 0.5
MOST = 10_000

app = App(name="traces", help="Pipeline runs: list, show, follow, count, export, send again.")


@app.command(name="list")
def show_list(*, source: Path | None = None, limit: int = 20, pipeline: str | None = None) -> None:
    """List the newest runs.

    Args:
        source: A JSONL file or a spool folder, instead of the database.
        limit: How many.
        pipeline: Only runs of this pipeline.
    """
    rows = _read_rows(source, limit=limit, pipeline=pipeline)
    if not rows:
        print("no traces")
        return
    _print_table(
        ("trace", "pipeline", "status", "start", "ms", "spans", "tokens", "cost"),
        [
            (
                row.trace_id.hex,
                row.pipeline_name,
                row.status if row.finished else "unfinished",
                f"{row.start_time:%Y-%m-%d %H:%M:%S}",
                _show_ms(row.duration_ms),
                str(row.span_count or ""),
                f"{row.input_tokens:,} → {row.output_tokens:,}" if row.input_tokens is not None and row.output_tokens is not None else "",
                f"${row.cost_usd:.6f}" if row.cost_usd is not None else "",
            )
            for row in rows
        ],
    )


@app.command
def show(trace: str, *, source: Path | None = None) -> None:
    """Show one run as a tree.

    Args:
        trace: Its id; with `--source` its beginning is enough.
        source: A JSONL file or a spool folder, instead of the database.
    """
    _print_text(draw_tree(_read_one(trace, source)))


@app.command
def stats(*, source: Path | None = None, limit: int = MOST) -> None:
    """Count runs, errors, time, tokens and cost by pipeline.

    Args:
        source: A JSONL file or a spool folder, instead of the database.
        limit: Over how many of the newest runs.
    """
    found = summarize(_read_rows(source, limit=limit, pipeline=None))
    if not found:
        print("no traces")
        return
    _print_table(
        ("pipeline", "runs", "errors", "cancelled", "unfinished", "p50 ms", "p95 ms", "max ms", "calls", "tokens", "cost"),
        [_stats_line(one) for one in found],
    )


@app.command
def tail(*, source: Path | None = None, seconds: float | None = None) -> None:
    """Follow spans as a process writes them; Ctrl-C ends it.

    Args:
        source: A JSONL file or a spool folder; the spool of this machine's processes when left out.
        seconds: End after so long.
    """
    path = source or load_settings().home / "traces"
    seen: set[tuple[str, str]] = set()
    ends_at = None if seconds is None else time.monotonic() + seconds
    while True:
        for record in _read_what_is_there(path):
            if (record.kind, record.key) not in seen:
                seen.add((record.kind, record.key))
                _print_text(_describe_record(record))
        if ends_at is not None and time.monotonic() >= ends_at:
            return
        time.sleep(FOLLOW_S)


@app.command
def export(
    to: Path, *, source: Path | None = None, trace: str | None = None, form: Literal["jsonl", "html"] | None = None, limit: int = 1000
) -> None:
    """Write runs to a file that is not there yet.

    Args:
        to: The file; `.html` gives a picture of one run, anything else JSON lines.
        source: A JSONL file or a spool folder, instead of the database.
        trace: Only this run.
        form: Instead of what the file's name says.
        limit: How many of the newest runs.
    """
    as_html = (form or ("html" if to.suffix == ".html" else "jsonl")) == "html"
    if as_html and trace is None:
        raise InputError("A picture shows one run: name it with --trace.", code="tracing.export_one")
    found = [_read_one(trace, source)] if trace is not None else _read_many(source, limit)
    try:
        with to.open("x", encoding="utf-8") as file:
            file.writelines([_as_page(found[0])] if as_html else _as_lines(found))
    except OSError as exc:
        raise InputError(f"{to} cannot be written: {exc.strerror}.", code="tracing.export_file") from exc
    print(f"{len(found)} runs in {to}")


@app.command(name="replay")
def send_again(file: Path | None = None) -> None:
    """Send dead letters to the database once more; what it still refuses stays in the file.

    Args:
        file: The dead letters; those of this machine's processes when left out.
    """
    settings = load_settings()
    path = file or settings.home / "traces" / "dead-postgrest.jsonl"
    if not path.is_file():
        raise NotFoundError(f"No dead letters at {path}.", code="tracing.nothing_there")
    # A living process may append meanwhile: it opens a new file.
    taken = path.with_suffix(f".{time.time_ns()}.jsonl")
    path.rename(taken)
    records = list(read_records(taken))

    async def send() -> tuple[int, list[Record]]:
        async with _open_tables(settings) as (transport, prefix), anyio.create_task_group() as tasks:
            sink = PostgrestSink(transport, prefix=prefix)
            await tasks.start(sink.run)
            result = await to_thread.run_sync(replay, records, sink)
            tasks.cancel_scope.cancel()
            return result
        raise AssertionError("the task group hands errors on")

    accepted, rest = anyio.run(send)
    if rest:
        with path.open("ab") as again:
            again.writelines(_as_letter(record) for record in rest)
    taken.unlink()
    print(f"{accepted} rows accepted, {len(rest)} refused again")


def _read_what_is_there(path: Path) -> Iterator[Record]:
    return read_records(path) if path.exists() else iter(())


def _describe_record(record: Record) -> str:
    try:
        row = record.decode()
    except msgspec.ValidationError:
        return f"unreadable {record.key}"
    if isinstance(row, SpanModel):
        facts = [f"{row.duration_ms:,.1f} ms", row.model or "", f"{row.error_type}: {row.error}" if row.error_type else ""]
        return f"{row.end_time:%H:%M:%S}  {row.trace_id.hex[:12]}  {row.status:9}  {row.span_name}  {'  '.join(filter(None, facts))}"
    what = f"ended {row.status}" if row.finished else "began"
    return f"{row.end_time or row.start_time:%H:%M:%S}  {row.trace_id.hex[:12]}  {what:9}  {row.pipeline_name}"


def _read_rows(source: Path | None, *, limit: int, pipeline: str | None) -> Sequence[TraceModel]:
    if source is None:
        return _ask_database(lambda tables: tables.list_traces(limit=limit, pipeline=pipeline))
    rows = [found.row for found in read_traces(source) if found.row is not None]
    return [row for row in rows if pipeline is None or row.pipeline_name == pipeline][:limit]


def _read_one(trace: str, source: Path | None) -> Trace:
    if source is not None:
        return find_trace(read_traces(source), trace)
    try:
        wanted = UUID(trace)
    except ValueError as exc:
        raise InputError(f"{trace[:40]!r} is no whole trace id; `dealquest traces list` shows them.", code="tracing.trace_id") from exc
    return _ask_database(lambda tables: tables.read_trace(wanted))


def _read_many(source: Path | None, limit: int) -> list[Trace]:
    if source is not None:
        return gather(list(read_records(source)))[:limit]

    async def read(tables: RemoteTraces) -> list[Trace]:
        return [await tables.read_trace(row.trace_id) for row in await tables.list_traces(limit=limit)]

    return _ask_database(read)


@asynccontextmanager
async def _open_tables(settings: Settings) -> AsyncIterator[tuple[Transport, str]]:
    from dealquest.compose import open_service_transport  # whoever reads a file does not wait for the database's parts
    from dealquest.storage import DIALECTS

    async with open_service_transport(settings) as (transport, dialect):
        yield transport, DIALECTS[dialect].tables


def _ask_database(question: Callable[[RemoteTraces], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with _open_tables(load_settings()) as (transport, prefix):
            return await question(RemoteTraces(transport, prefix=prefix))
        raise AssertionError("a transport hands errors on")

    return anyio.run(ask)


def _as_lines(found: Sequence[Trace]) -> Iterator[str]:
    for one in found:
        if one.row is not None:
            yield f'{{"kind":"{"e" if one.finished else "b"}","row":{msgspec.json.encode(one.row).decode()}}}\n'
        for row in one.spans:
            yield f'{{"kind":"s","row":{msgspec.json.encode(row).decode()}}}\n'


def _as_letter(record: Record) -> bytes:
    return b'{"kind":"%s","reason":"refused again","row":%s}\n' % (record.kind.encode(), record.body)


def _as_page(found: Trace) -> str:
    head = '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>trace</title>'
    return f"{head}{found._repr_html_()}\n"


def _stats_line(one: PipelineStats) -> tuple[str, ...]:
    counts = (one.runs, one.errors, one.cancelled, one.unfinished)
    times = (one.p50_ms, one.p95_ms, one.max_ms)
    tokens = f"{one.input_tokens:,} → {one.output_tokens:,}"
    return (one.name, *map(str, counts), *map(_show_ms, times), str(one.llm_calls), tokens, f"${one.cost_usd:.6f}")


def _show_ms(length: float | None) -> str:
    return "" if length is None else f"{length:,.1f}"


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table  # only a terminal's view needs it
    from rich.text import Text  # see above

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right" if title in {"ms", "spans", "runs", "errors", "calls"} else "left")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    _console().print(table)


def _print_text(text: str) -> None:
    from rich.text import Text  # only a terminal's view needs it

    _console().print(Text("\n".join(map(_printable, text.split("\n")))), soft_wrap=True)


@functools.cache
def _console() -> "Console":
    from rich.console import Console  # only a terminal's view needs it

    # A pipe has no width: nothing is cut there.
    return Console(width=None if sys.stdout.isatty() else 240, highlight=False)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)
