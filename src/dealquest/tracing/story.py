"""A trace read back: its row and its spans as a tree, shown as text, as a picture in a notebook, or as a data frame.

Orphans (their parent was never delivered) and traces without an end are shown, and said to be so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from .models import MARKS, SpanModel, TraceModel
from .timeline import Timeline

if TYPE_CHECKING:
    import pandas as pd


@attrs.frozen(kw_only=True)
class Trace:
    """One pipeline run as it was delivered.

    Attributes:
        trace_id: Its id.
        row: Its row; None when only spans were found.
        spans: Its spans in the order of their starts, each id once.
    """

    trace_id: UUID
    row: TraceModel | None
    spans: tuple[SpanModel, ...]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.row.pipeline_name if self.row is not None else self.spans[0].span_name

    @property
    def finished(self) -> bool:
        """Whether its end was delivered."""
        return self.row is not None and self.row.finished

    @property
    def status(self) -> str:
        """`unfinished` until its end was delivered, then the root's status."""
        return self.row.status if self.row is not None and self.row.finished else "unfinished"

    @property
    def start(self) -> datetime:
        """When it began."""
        return self.row.start_time if self.row is not None else self.spans[0].start_time

    @property
    def duration_ms(self) -> float:
        """Its length; up to the last known end while it is unfinished."""
        if self.row is not None and self.row.duration_ms is not None:
            return self.row.duration_ms
        start_ns = min((span.start_ns for span in self.spans), default=0)
        return max((span.start_ns / 1e6 + span.duration_ms for span in self.spans), default=0.0) - start_ns / 1e6

    @property
    def input_tokens(self) -> int:
        """Summed over model calls."""
        return sum(span.input_tokens or 0 for span in self.spans if span.kind == "llm")

    @property
    def output_tokens(self) -> int:
        """Summed over model calls."""
        return sum(span.output_tokens or 0 for span in self.spans if span.kind == "llm")

    @property
    def cost_usd(self) -> Decimal | None:
        """Summed over model calls; None when no price is known."""
        prices = [span.cost_usd for span in self.spans if span.kind == "llm" and span.cost_usd is not None]
        return sum(prices, Decimal(0)) if prices else None

    @property
    def missing(self) -> int:
        """How many spans its row counts beyond those that are here."""
        counted = self.row.span_count if self.row is not None else None
        return max(0, (counted or 0) - len(self.spans))

    @property
    def orphans(self) -> tuple[SpanModel, ...]:
        """Spans whose parent is not here, the root aside."""
        known = {span.span_id for span in self.spans}
        lost = [span for span in self.spans if span.parent_span_id is not None and span.parent_span_id not in known]
        # A root that continues another machine's trace has a parent elsewhere; it is the one pipeline span.
        return tuple(span for span in lost if span.kind != "pipeline")

    def walk(self) -> Iterator[tuple[int, SpanModel]]:
        """Depth and span, parents before children, siblings by start; orphans stand at depth 1."""
        children: dict[UUID | None, list[SpanModel]] = defaultdict(list)
        known = {span.span_id for span in self.spans}
        orphans = {span.span_id for span in self.orphans}
        for span in self.spans:
            parent = span.parent_span_id
            children[parent if parent in known and parent != span.span_id else None].append(span)
        stack = [(int(span.span_id in orphans), span) for span in reversed(children.pop(None, []))]
        while stack:
            depth, span = stack.pop()
            yield depth, span
            stack += [(depth + 1, child) for child in reversed(children.pop(span.span_id, []))]
        # Spans that are each other's ancestors are no tree; show them rather than lose them.
        for rest in children.values():
            yield from ((1, span) for span in rest)

    def to_pandas(self) -> "pd.DataFrame":
        """One row a span, columns as in the table, and `depth` (extra `pandas`)."""
        import pandas as pd  # noqa: PLC0415  # an extra, and heavy

        rows = [{"depth": depth, **attrs.asdict(span, recurse=False)} for depth, span in self.walk()]
        return pd.DataFrame(rows, columns=["depth", *(field.name for field in attrs.fields(SpanModel))])

    def _repr_html_(self) -> str:
        return Timeline(
            name=self.name,
            mark=MARKS.get(self.status, MARKS["unset"]),
            totals=describe_totals(self),
            rows=tuple(self.walk()),
            duration_ms=self.duration_ms,
            orphans={span.span_id for span in self.orphans},
        ).draw()

    def __str__(self) -> str:
        return draw_tree(self)


def assemble(spans: Iterable[SpanModel], rows: Iterable[TraceModel]) -> list[Trace]:
    """Traces from rows in any order and with repeats, newest first."""
    by_trace: dict[UUID, dict[UUID, SpanModel]] = defaultdict(dict)
    best: dict[UUID, TraceModel] = {}
    for row in rows:
        known = best.get(row.trace_id)
        if known is None or row.finished or not known.finished:
            best[row.trace_id] = row
    for span in spans:
        by_trace[span.trace_id][span.span_id] = span
    traces = [
        Trace(
            trace_id=key,
            row=best.get(key),
            spans=tuple(sorted(by_trace[key].values(), key=lambda span: (span.start_ns, -span.duration_ms))),
        )
        for key in {**dict.fromkeys(best), **dict.fromkeys(by_trace)}
    ]
    return sorted(traces, key=lambda trace: trace.start, reverse=True)


def describe_totals(trace: Trace) -> str:
    """Duration, tokens, cost and what is odd, in one line."""
    parts = [f"{trace.duration_ms:,.1f} ms", f"{len(trace.spans)} spans"]
    if trace.input_tokens or trace.output_tokens:
        parts.append(f"{trace.input_tokens:,} → {trace.output_tokens:,} tokens")
    if trace.cost_usd is not None:
        parts.append(f"${trace.cost_usd:.6f}")
    if not trace.finished:
        parts.append("unfinished")
    if trace.missing:
        parts.append(f"{trace.missing} spans missing")
    if trace.row is not None and trace.row.sample_rate < 1:
        parts.append(f"sampled at {trace.row.sample_rate:g}")
    return " · ".join(parts)


def draw_tree(trace: Trace) -> str:
    """The trace as indented lines of plain text."""
    lines = [f"{MARKS.get(trace.status, MARKS['unset'])} {_printable(trace.name)}  {describe_totals(trace)}"]
    orphans = {span.span_id for span in trace.orphans}
    for depth, span in trace.walk():
        facts: list[Any] = [f"{span.duration_ms:,.1f} ms"]
        if span.model:
            facts.append(_printable(span.model))
        if span.input_tokens is not None or span.output_tokens is not None:
            facts.append(f"{span.input_tokens or 0:,} → {span.output_tokens or 0:,} tokens")
        if span.cost_usd is not None:
            facts.append(f"${span.cost_usd:.6f}")
        if span.error_type:
            facts.append(_printable(f"{span.error_type}: {span.error or ''}"[:200]))
        if span.span_id in orphans:
            facts.append("orphan")
        lines.append(f"{'  ' * (depth + 1)}{MARKS[span.status]} {_printable(span.span_name)}  {' · '.join(facts)}")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Nothing that could steer a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)
