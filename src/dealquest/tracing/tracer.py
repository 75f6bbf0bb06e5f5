"""The tracer: where spans get their ids, their clock and the recorder that takes them when they end."""

import os
import time
import weakref
from typing import Any, Protocol

from dealquest.errors import InputError
from dealquest.values import Clock, Principal

from .capture import Capture, copy_content
from .ids import IdSource
from .spans import Bridge, Run, Span, TraceMark

SAMPLED = 1
RANDOM = 2

_sources: "weakref.WeakSet[IdSource]" = weakref.WeakSet()


def _reseed_all() -> None:
    for source in list(_sources):
        source.reseed()


os.register_at_fork(after_in_child=_reseed_all)


class Recorder(Protocol):
    """Takes finished spans and the marks of traces. Must be quick and must not raise: traced code waits for it."""

    def emit(self, record: Span | TraceMark) -> None:
        """Take one record."""
        ...


class Tracer:
    """Makes spans for one recorder.

    Args:
        recorder: A `Collector`, or a `MemoryRecorder` in tests.
        capture: What spans keep of inputs and outputs unless a span says otherwise.
        sample_rate: Share of traces to keep, 0 to 1, decided at a trace's beginning by its id.
        keep_stacks: Whether errors keep their stack as text, not only as a hash.
        clock: Time of the records; the machine's own when left out.
        seed: Makes ids repeat, for tests.
        otel: Keep OpenTelemetry's current span in step. None means: if the program has loaded OpenTelemetry by now.

    Raises:
        InputError: `tracing.sample_rate` outside 0 to 1, `tracing.otel_missing` when `otel=True` without the extra.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        capture: Capture = "shapes",
        sample_rate: float = 1.0,
        keep_stacks: bool = False,
        clock: Clock | None = None,
        seed: int | None = None,
        otel: bool | None = None,
    ) -> None:
        if not 0 <= sample_rate <= 1:
            raise InputError(f"sample_rate is {sample_rate}; give a share from 0 to 1.", code="tracing.sample_rate")
        self.recorder = recorder
        self.emit = recorder.emit
        self.capture: Capture = capture
        self.sample_rate = sample_rate
        self.keep_stacks = keep_stacks
        self.clock_ns = time.monotonic_ns if clock is None else lambda: int(clock.monotonic() * 1e9)
        wall_ns = time.time_ns() if clock is None else int(clock.now().timestamp() * 1e9)
        # Wall time is read once: a later step of the wall clock cannot make a duration negative.
        self.wall_offset_ns = wall_ns - self.clock_ns()
        ids = IdSource(seed, wall_ns=lambda: self.clock_ns() + self.wall_offset_ns)
        _sources.add(ids)
        self._ids = ids
        self.draw_bits = ids.draw_bits
        self.faults = 0
        self.bridge = _open_bridge(otel)

    def start_run(
        self,
        name: str,
        kind: str,
        attributes: dict[str, Any],
        *,
        user: Principal | None = None,
        traceparent: str | None = None,
        tracestate: str = "",
    ) -> Span:
        """The root span of a new trace, not yet entered."""
        remote = parse_traceparent(traceparent) if traceparent else None
        if remote is None and traceparent is None and self.bridge is not None:
            remote = self.bridge.current_parent()
        if remote is None:
            trace_id, parent_id = self._ids.draw_trace_id(), 0
            sampled = self.sample_rate >= 1 or (trace_id & (1 << 56) - 1) < self.sample_rate * (1 << 56)
            flags = RANDOM | (SAMPLED if sampled else 0)
        else:
            trace_id, parent_id, flags = remote
            sampled = bool(flags & SAMPLED)
        run = Run(self, trace_id, name, sampled=sampled, flags=flags, tracestate=tracestate if remote else "")
        run.attributes = copy_content(attributes) if attributes else attributes
        if user is not None:
            run.user_id = user.subject
            telegram_id = user.claims.get("telegram_id")
            run.telegram_id = telegram_id if isinstance(telegram_id, int) else None
        return Span(run, parent_id, name, kind, dict(attributes))

    def count_fault(self) -> None:
        """Count a failure of the tracer itself; the traced code does not see it."""
        self.faults += 1


def _open_bridge(otel: bool | None) -> Bridge | None:
    import sys  # noqa: PLC0415  # read once, when a tracer is made

    if otel is False or (otel is None and "opentelemetry.trace" not in sys.modules):
        return None
    try:
        from .otel import OtelBridge  # noqa: PLC0415  # an extra
    except ImportError as exc:
        if otel is None:
            return None
        raise InputError("OpenTelemetry is not installed: pip install 'dealquest[otel]'.", code="tracing.otel_missing") from exc
    return OtelBridge()


def parse_traceparent(header: str) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of a W3C header; None when it is invalid, which means a new trace.

    >>> parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") is not None
    True
    """
    parts = header.strip().split("-", 4) if len(header) <= 512 else []
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or (parts[0] == "00" and len(parts) > 4):
        return None
    if parts[0] == "ff" or not all(character in "0123456789abcdef" for part in parts[:4] for character in part):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    return (trace_id, span_id, flags) if trace_id and span_id else None
