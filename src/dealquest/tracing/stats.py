"""Figures over many runs: how long, how often wrong, how many tokens, what cost. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

import attrs

from .models import TraceModel


@attrs.frozen(kw_only=True)
class PipelineStats:
    """One pipeline's runs.

    Attributes:
        p50_ms: Median length of finished runs; None without any.
        p95_ms: Length that one finished run in twenty exceeds.
        cost_usd: Known prices, summed.
    """

    name: str
    runs: int
    errors: int
    cancelled: int
    unfinished: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    llm_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal


def summarize(rows: Iterable[TraceModel]) -> list[PipelineStats]:
    """Figures by pipeline, the most frequent first."""
    by_name: dict[str, list[TraceModel]] = defaultdict(list)
    for row in rows:
        by_name[row.pipeline_name].append(row)
    return sorted((_summarize_one(name, found) for name, found in by_name.items()), key=lambda stats: (-stats.runs, stats.name))


def _summarize_one(name: str, rows: Sequence[TraceModel]) -> PipelineStats:
    lengths = sorted(row.duration_ms for row in rows if row.duration_ms is not None)
    return PipelineStats(
        name=name,
        runs=len(rows),
        errors=sum(row.status == "error" for row in rows),
        cancelled=sum(row.status == "cancelled" for row in rows),
        unfinished=sum(not row.finished for row in rows),
        p50_ms=find_quantile(lengths, 0.5),
        p95_ms=find_quantile(lengths, 0.95),
        max_ms=lengths[-1] if lengths else None,
        llm_calls=sum(row.llm_calls or 0 for row in rows),
        input_tokens=sum(row.input_tokens or 0 for row in rows),
        output_tokens=sum(row.output_tokens or 0 for row in rows),
        cost_usd=sum((row.cost_usd for row in rows if row.cost_usd is not None), Decimal(0)),
    )


def find_quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed.

    >>> find_quantile([1.0, 2.0, 3.0, 4.0], 0.5), find_quantile([], 0.5)
    (2.0, None)
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
