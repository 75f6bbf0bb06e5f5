"""Finished spans kept as they are, in memory: the recorder for tests and notebooks. No thread, no file."""

from collections import deque
from uuid import UUID

from .models import SpanModel, TraceModel
from .readers import find_trace, gather
from .records import Record, encode_record
from .redact import Redactor
from .spans import Span, TraceMark
from .story import Trace

KEPT = 100_000


class MemoryRecorder:
    """Keeps the last records; they are encoded and redacted when somebody looks.

    Args:
        keep: How many.
        redactor: As in the collector.
    """

    def __init__(self, *, keep: int = KEPT, redactor: Redactor | None = None) -> None:
        self.kept: deque[Span | TraceMark] = deque(maxlen=keep)
        self._redactor = redactor or Redactor()
        # One call less in traced code: the deque takes the record itself.
        self.emit = self.kept.append

    @property
    def records(self) -> list[Record]:
        """Everything as it would be stored."""
        return [encode_record(item, self._redactor) for item in list(self.kept)]

    @property
    def traces(self) -> list[Trace]:
        """The traces so far, newest first."""
        return gather(self.records)

    @property
    def spans(self) -> list[SpanModel]:
        """The spans in the order in which they ended."""
        return [row for record in self.records if isinstance(row := record.decode(), SpanModel)]

    @property
    def rows(self) -> list[TraceModel]:
        """The rows of traces, beginnings and ends."""
        return [row for record in self.records if isinstance(row := record.decode(), TraceModel)]

    def find(self, trace_id: str) -> Trace:
        """One trace.

        Raises:
            NotFoundError: `tracing.unknown_trace`.
        """
        return find_trace(self.traces, str(UUID(trace_id)))

    def clear(self) -> None:
        """Forget everything."""
        self.kept.clear()
