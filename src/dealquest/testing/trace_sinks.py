"""A trace sink whose moods a test sets, and quick ways to make spans and records."""

import threading
import time
from collections.abc import Callable, Sequence

from dealquest.tracing import Accepted, MemoryRecorder, Outcome, Record, Tracer, Unavailable, span

Mood = Callable[[Sequence[Record]], Outcome]


class MoodySink:
    """Stores by id like a table, unless its mood says otherwise; fails when a batch breaks the sender's promises.

    Args:
        name: Its name.
        mood: Called with each batch; its outcome is the answer. None accepts.
    """

    def __init__(self, name: str = "moody", mood: Mood | None = None) -> None:
        self.name = name
        self.mood = mood
        self.rows: dict[tuple[bool, str], Record] = {}
        self.calls: list[tuple[float, int]] = []
        self.closed = False
        self.lock = threading.Lock()

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:  # noqa: ARG002  # a mood knows no deadline
        """Answer by the mood, and store what is accepted."""
        with self.lock:
            self.calls.append((time.monotonic(), len(records)))
            keys = [(record.kind == "s", record.key) for record in records]
            assert len(set(keys)) == len(keys), "an id twice in one batch"
            assert len({record.kind for record in records}) == 1, "kinds mixed in one batch"
            outcome = self.mood(records) if self.mood is not None else Accepted()
            if isinstance(outcome, Accepted):
                self.rows.update(zip(keys, records, strict=True))
            return outcome

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    @property
    def span_ids(self) -> set[str]:
        """The ids of the spans stored."""
        return {key for is_span, key in list(self.rows) if is_span}


def away(records: Sequence[Record]) -> Outcome:  # noqa: ARG001  # a mood
    """The mood of a sink that cannot be reached."""
    return Unavailable("away")


def make_records(count: int) -> list[Record]:
    """Span records with ids of their own."""
    recorder = MemoryRecorder()
    tracer = Tracer(recorder)
    for number in range(count):
        with tracer.start_run(f"run {number}", "step", {"number": number}):
            pass
    return [record for record in recorder.records if record.kind == "s"]


def emit_spans(count: int) -> None:
    """Spans in the current trace or each in its own."""
    for number in range(count):
        with span("step", number=number):
            pass
