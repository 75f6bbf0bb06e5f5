"""Finished spans and traces as frozen values: the rows of `pipeline_spans` and `pipeline_traces`.

They are built when somebody reads, never while traced code runs.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs

from .spans import Status

MARKS = {"ok": "✓", "error": "✗", "cancelled": "⊘", "unset": "…"}
"""How a status is shown, in one character."""


@attrs.frozen(kw_only=True)
class SpanModel:
    """One finished step; the fields are the columns of `pipeline_spans`.

    Attributes:
        start_ns: Nanoseconds since 1970; orders spans that start within one microsecond.
        duration_ms: From a monotonic clock, so never negative.
        success: False for errors and for cancelled steps.
        error: The error's message, redacted.
        stack_hash: Equal for errors that were raised on the same way through the code.
        input_tokens: Cached tokens included.
    """

    span_id: UUID
    trace_id: UUID
    parent_span_id: UUID | None
    span_name: str
    kind: str
    status: Status
    start_time: datetime
    end_time: datetime
    start_ns: int
    duration_ms: float
    success: bool
    error: str | None = None
    error_type: str | None = None
    stack_hash: str | None = None
    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    attributes: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    input_data: Any = attrs.field(default=None, hash=False)
    output_data: Any = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True)
class TraceModel:
    """One pipeline run; the fields are the columns of `pipeline_traces`.

    Attributes:
        status: `unset` while the run is unfinished, also when its process was killed.
        span_count: Spans that ended inside it, so a reader sees whether some are missing.
        input_tokens: Summed over model calls only.
        cost_source: Who named the prices: `provider`, `local`, or `mixed`.
        sample_rate: Share of traces kept when this one was begun; 1 means all.
    """

    trace_id: UUID
    pipeline_name: str
    telegram_id: int | None
    user_id: str | None
    start_time: datetime
    status: Status
    end_time: datetime | None = None
    duration_ms: float | None = None
    success: bool | None = None
    error: str | None = None
    span_count: int | None = None
    llm_calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    cost_source: str | None = None
    price_table: str | None = None
    sample_rate: float = 1.0
    attributes: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    @property
    def finished(self) -> bool:
        """Whether its end was seen."""
        return self.end_time is not None


SPAN_COLUMNS = tuple(field.name for field in attrs.fields(SpanModel))
TRACE_COLUMNS = tuple(field.name for field in attrs.fields(TraceModel))
