"""A trace as one self-contained HTML fragment: a timeline in SVG, no script, no address outside, at most 100 kB.

Colours come from `currentColor` and mid tones, so it reads on light and on dark pages, also in exported notebooks.
"""

from html import escape

import msgspec

from .models import SpanModel
from .story import MARKS, Trace, describe_totals

MAX_BYTES = 100_000
MAX_ROWS = 200
ROW_PX = 20
LABEL_PX = 280
BAR_PX = 460
WIDTH_PX = LABEL_PX + BAR_PX + 100

_COLOURS = {"pipeline": "#7c8aa5", "agent": "#8e6fd8", "llm": "#2f8fe0", "tool": "#2aa876", "retrieval": "#c98a1b", "step": "#8a8f98"}
_BAD = {"error": "#d64545", "cancelled": "#c07f2c"}


def draw_timeline(trace: Trace) -> str:
    """The picture; a trace with very many spans shows the first 200 and says how many follow."""
    rows = list(trace.walk())
    for limit in (MAX_ROWS, 100, 40, 10):
        html = _draw(trace, rows[:limit], len(rows))
        if len(html.encode()) <= MAX_BYTES:
            return html
    return f"<div>{escape(trace.name[:200])}: {escape(describe_totals(trace))}</div>"


def _draw(trace: Trace, rows: list[tuple[int, SpanModel]], total: int) -> str:
    first_ns = min((span.start_ns for _, span in rows), default=0)
    length_ms = max(trace.duration_ms, 1e-6)
    height = ROW_PX * (len(rows) + 1)
    orphans = {span.span_id for span in trace.orphans}
    bars = [
        _draw_row(index, depth, span, (span.start_ns - first_ns) / 1e6, length_ms, orphan=span.span_id in orphans)
        for index, (depth, span) in enumerate(rows)
    ]
    more = f'<text x="4" y="{height - 5}" opacity="0.7">… {total - len(rows)} more spans</text>' if total > len(rows) else ""
    return (
        '<div style="font:12px/1.4 ui-monospace,monospace;max-width:100%;overflow-x:auto">'
        f"<div><b>{MARKS.get(trace.status, '…')} {escape(trace.name[:200])}</b> "
        f'<span style="opacity:0.75">{escape(describe_totals(trace))}</span></div>'
        f'<svg role="img" aria-label="Timeline of {escape(trace.name[:100])}" width="{WIDTH_PX}" height="{height}" '
        f'viewBox="0 0 {WIDTH_PX} {height}" fill="currentColor" font-size="12">{"".join(bars)}{more}</svg></div>'
    )


def _draw_row(index: int, depth: int, span: SpanModel, offset_ms: float, length_ms: float, *, orphan: bool) -> str:
    top = index * ROW_PX
    left = LABEL_PX + BAR_PX * min(1.0, max(0.0, offset_ms / length_ms))
    width = max(2.0, min(BAR_PX * span.duration_ms / length_ms, LABEL_PX + BAR_PX - left))
    colour = _BAD.get(span.status) or _COLOURS.get(span.kind, _COLOURS["step"])
    indent = 4 + 12 * min(depth, 10)
    shown = max(6, (LABEL_PX - indent) // 8)
    name = span.span_name if len(span.span_name) <= shown else span.span_name[: shown - 1] + "…"
    dash = ' stroke="currentColor" stroke-dasharray="3 2"' if orphan else ""
    return (
        f"<g><title>{escape(_describe(span, orphan=orphan))}</title>"
        f'<text x="{indent}" y="{top + 14}">{MARKS[span.status]} {escape(name)}</text>'
        f'<rect x="{left:.1f}" y="{top + 4}" width="{width:.1f}" height="12" rx="2" fill="{colour}"{dash}/>'
        f'<text x="{LABEL_PX + BAR_PX + 4}" y="{top + 14}" opacity="0.75">{span.duration_ms:,.1f} ms</text></g>'
    )


def _describe(span: SpanModel, *, orphan: bool) -> str:
    lines = [f"{span.span_name[:200]} ({span.kind}, {span.status}{', orphan' if orphan else ''})"]
    if span.model:
        lines.append(f"model {span.model[:100]}")
    if span.input_tokens is not None or span.output_tokens is not None:
        lines.append(f"{span.input_tokens or 0} → {span.output_tokens or 0} tokens")
    if span.cost_usd is not None:
        lines.append(f"${span.cost_usd}")
    if span.error_type:
        lines.append(f"{span.error_type}: {(span.error or '')[:200]}")
    if span.attributes:
        lines.append(msgspec.json.encode(span.attributes).decode("utf-8", "replace")[:300])
    return "\n".join(lines)
