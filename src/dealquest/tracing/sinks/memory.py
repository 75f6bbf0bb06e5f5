"""Records kept in memory: for tests of the pipeline, and as the simplest example of a sink."""

from collections import deque
from collections.abc import Sequence

from ..models import SpanModel, TraceModel  # noqa: TID252  # a folder of one room
from ..records import Record  # noqa: TID252  # see above
from .protocol import Accepted, Outcome

KEPT = 100_000


class MemorySink:
    """Keeps the last records.

    Args:
        name: Its name.
        keep: How many records.
    """

    def __init__(self, name: str = "memory", *, keep: int = KEPT) -> None:
        self.name = name
        self.records: deque[Record] = deque(maxlen=keep)

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:  # noqa: ARG002  # nothing here waits
        """Keep them."""
        self.records.extend(records)
        return Accepted()

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def spans(self) -> list[SpanModel]:
        """The spans, in the order of their arrival."""
        return [found for record in list(self.records) if isinstance(found := record.decode(), SpanModel)]

    @property
    def traces(self) -> list[TraceModel]:
        """The newest row of each trace."""
        rows = {record.key: record for record in list(self.records) if record.kind != "s"}
        return [found for record in rows.values() if isinstance(found := record.decode(), TraceModel)]
