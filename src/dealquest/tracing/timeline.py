"""A trace as one self-contained HTML fragment: a timeline in SVG, no script, no address outside, at most 100 kB.

Colours come from `currentColor` and mid tones, so it reads on light and on dark pages, also in exported notebooks.
"""

from collections.abc import Collection, Sequence
from html import escape
from uuid import UUID

import attrs
import msgspec

from .models import MARKS, SpanModel

MAX_BYTES = 100_000
MAX_ROWS = 200
MAX_NAME = 200
ROW_PX = 20
LABEL_PX = 280
BAR_PX = 460
WIDTH_PX = LABEL_PX + BAR_PX + 100

_COLOURS = {"pipeline": "#7c8aa5", "agent": "#8e6fd8", "llm": "#2f8fe0", "tool": "#2aa876", "retrieval": "#c98a1b", "step": "#8a8f98"}
_BAD = {"error": "#d64545", "cancelled": "#c07f2c"}


def _cut_name(name: str) -> str:
    return name[:MAX_NAME]


@attrs.frozen(kw_only=True)
class Timeline:
    """What the picture shows.

    Attributes:
        name: The trace's.
        mark: One character for how it ended.
        totals: What stands beside the name.
        rows: Depth and span, in the order in which they are drawn.
        duration_ms: The trace's length.
        orphans: Ids of spans whose parent is missing.
    """

    name: str = attrs.field(converter=_cut_name)
    mark: str
    totals: str
    rows: Sequence[tuple[int, SpanModel]]
    duration_ms: float
    orphans: Collection[UUID]

    def draw(self) -> str:
        """The picture; of very many spans it shows the first 200 and says how many follow."""
        for limit in (MAX_ROWS, 100, 40, 10):
            html = self._draw_first(limit)
            if len(html.encode()) <= MAX_BYTES:
                return html
        return f"<div>{escape(self.name)}: {escape(self.totals)}</div>"

    def _draw_first(self, limit: int) -> str:
        rows = self.rows[:limit]
        first_ns = min((span.start_ns for _, span in rows), default=0)
        length_ms = max(self.duration_ms, 1e-6)
        height = ROW_PX * (len(rows) + 1)
        bars = [
            _draw_row(index, depth, span, (span.start_ns - first_ns) / 1e6, length_ms, orphan=span.span_id in self.orphans)
            for index, (depth, span) in enumerate(rows)
        ]
        left_out = len(self.rows) - len(rows)
        more = f'<text x="4" y="{height - 5}" opacity="0.7">… {left_out} more spans</text>' if left_out else ""
        return (
            '<div style="font:12px/1.4 ui-monospace,monospace;max-width:100%;overflow-x:auto">'
            f"<div><b>{self.mark} {escape(self.name)}</b> "
            f'<span style="opacity:0.75">{escape(self.totals)}</span></div>'
            f'<svg role="img" aria-label="Timeline of {escape(self.name[:100])}" width="{WIDTH_PX}" height="{height}" '
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
    lines = [f"{span.span_name[:MAX_NAME]} ({span.kind}, {span.status}{', orphan' if orphan else ''})"]
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
