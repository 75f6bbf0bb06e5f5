"""A step that is being traced: a mutable builder while it runs, handed over whole when it ends.

The current span lives in one ContextVar, so tasks, task groups and threads with a copied context inherit
it and nobody shares a list. Everything here runs inside traced code: it is short, and it never raises.
"""

import threading
from contextvars import ContextVar, Token
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias
from uuid import UUID

from dealquest.values import Principal, Usage, Usd

from . import names
from .capture import MAX_TEXT, Capture, copy_content, describe_shape, weigh
from .failures import Failure, describe_failure

Status: TypeAlias = Literal["unset", "ok", "error", "cancelled"]
Kind: TypeAlias = Literal["pipeline", "agent", "llm", "tool", "retrieval", "step"]

current: ContextVar["Span | None"] = ContextVar("dealquest_span", default=None)

SPAN_WEIGHT = 512
_LIGHT: frozenset[type] = frozenset({int, float, bool, type(None), Decimal})
_CANCELLED = frozenset({"CancelledError", "Cancelled"})
_STOPPED = (KeyboardInterrupt, SystemExit)


class Maker(Protocol):
    """What a trace and its spans ask of the tracer that made them.

    Attributes:
        capture: What spans keep of inputs and outputs unless a span says otherwise.
        sample_rate: Share of traces that are kept, 0 to 1.
        keep_stacks: Whether errors keep their stack as text, not only as a hash.
        wall_offset_ns: What turns a time of `clock_ns` into nanoseconds since 1970.
        bridge: To another tracer's notion of the current span.
    """

    capture: Capture
    sample_rate: float
    keep_stacks: bool
    wall_offset_ns: int
    bridge: "Bridge | None"

    def clock_ns(self) -> int:
        """Now, on a clock that never goes back."""
        ...

    def draw_bits(self, count: int, /) -> int:
        """Random bits for an id."""
        ...

    def emit(self, record: "Span | TraceMark", /) -> None:
        """Take what has begun or ended."""
        ...

    def count_fault(self) -> None:
        """Count a failure of the tracer itself; the traced code does not see it."""
        ...

    def start_run(
        self,
        name: str,
        kind: str,
        attributes: dict[str, Any],
        *,
        user: Principal | None = None,
        traceparent: str | None = None,
        tracestate: str = "",
    ) -> "Span":
        """The root span of a new trace, not yet entered."""
        ...


class Bridge(Protocol):
    """Keeps another tracer's notion of the current span in step with ours."""

    def current_parent(self) -> tuple[int, int, int] | None:
        """Trace id, span id and flags of the other tracer's current span."""
        ...

    def enter(self, span: "Span") -> Any:
        """Make ours its current one; the token for `leave`."""
        ...

    def leave(self, token: Any) -> None:
        """Restore what was there."""
        ...


class Run:
    """One trace while it runs: what its spans share. Totals grow as model calls end."""

    __slots__ = (
        "_totals_lock",
        "attributes",
        "calls",
        "clock_ns",
        "cost_sources",
        "cost_usd",
        "emit",
        "first",
        "flags",
        "input_tokens",
        "mark",
        "name",
        "output_tokens",
        "price_tables",
        "sampled",
        "span_count",
        "telegram_id",
        "trace_id",
        "tracer",
        "tracestate",
        "user_id",
        "uuid",
    )

    def __init__(self, tracer: Maker, trace_id: int, name: str, *, sampled: bool, flags: int = 1, tracestate: str = "") -> None:
        self.tracer = tracer
        self.clock_ns = tracer.clock_ns
        self.emit = tracer.emit
        self.trace_id = trace_id
        self.uuid = str(UUID(int=trace_id))
        self.name = name
        self.sampled = sampled
        self.flags = flags
        self.tracestate = tracestate
        self.first: Span | None = None
        self.mark: TraceMark | None = None
        self.attributes: dict[str, Any] = {}
        self.user_id: str | None = None
        self.telegram_id: int | None = None
        self.span_count = 0
        self.calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd: Decimal | None = None
        self.cost_sources: set[str] = set()
        self.price_tables: set[str] = set()
        self._totals_lock = threading.Lock()

    def begin(self, span: "Span") -> None:
        """Note that the trace has begun: a killed one shows as unfinished."""
        self.first = span
        if self.sampled:
            try:
                self.emit(TraceMark(self, "begin", span.start_ns))
            except Exception:  # noqa: BLE001  # traced code gets its result whatever the tracer does
                self.tracer.count_fault()

    def finish(self, span: "Span") -> None:
        """Note that the trace has ended, with its totals."""
        if self.sampled:
            self.mark = TraceMark(self, "end", span.start_ns)
            self.emit(self.mark)

    def add_call(self, span: "Span") -> None:
        """Add a model call's tokens and price; a call that ends after its trace mends the trace's row."""
        found = names.to_current(span.attributes)
        with self._totals_lock:
            self.calls += 1
            self.input_tokens += _whole(found.get(names.INPUT_TOKENS))
            self.output_tokens += _whole(found.get(names.OUTPUT_TOKENS))
            cost = found.get(names.COST_AMOUNT)
            if isinstance(cost, (Decimal, int, float)) and not isinstance(cost, bool):
                self.cost_usd = (self.cost_usd or Usd(0)) + Usd(str(cost))
                self.cost_sources.add(str(found.get(names.COST_SOURCE, "local")))
            if names.PRICES in found:
                self.price_tables.add(str(found[names.PRICES]))
        if self.mark is not None and self.sampled:
            self.emit(TraceMark(self, "end", self.mark.start_ns))

    def enter_bridge(self, span: "Span") -> None:
        """Make a span the other tracer's current one, where there is another tracer."""
        bridge = self.tracer.bridge
        if bridge is not None:
            try:
                span.bridge_token = bridge.enter(span)
            except Exception:  # noqa: BLE001  # foreign code, and traced code gets its result
                self.tracer.count_fault()

    def leave_bridge(self, span: "Span") -> None:
        """Give the other tracer its former current span back."""
        token, span.bridge_token = span.bridge_token, None
        bridge = self.tracer.bridge
        if bridge is not None and token is not None:
            try:
                bridge.leave(token)
            except Exception:  # noqa: BLE001  # foreign code, and traced code gets its result
                self.tracer.count_fault()


class TraceMark:
    """The beginning or the end of a trace, as a record for the collector."""

    __slots__ = ("run", "start_ns", "weight", "what")

    def __init__(self, run: Run, what: Literal["begin", "end"], start_ns: int) -> None:
        self.run = run
        self.what = what
        self.start_ns = start_ns
        self.weight = SPAN_WEIGHT


class Span:
    """A step. Use it as a context manager, `with` or `async with`; get one from `span()` or `trace()`.

    Attributes:
        attributes: Small facts; plain values, larger ones are copied within a budget when the span ends.
        status: `unset` while it runs, then `ok`, `error` or `cancelled`.
    """

    __slots__ = (
        "_token",
        "attributes",
        "bridge_token",
        "end_ns",
        "failure",
        "input_data",
        "kind",
        "name",
        "output_data",
        "parent_id",
        "run",
        "span_id",
        "start_ns",
        "status",
        "weight",
    )

    def __init__(self, run: Run, parent_id: int, name: str, kind: str, attributes: dict[str, Any]) -> None:
        self.run = run
        self.parent_id = parent_id
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.span_id: int = run.tracer.draw_bits(64)
        self.status = "unset"
        self.start_ns = 0
        self.end_ns = 0
        self.failure: Failure | None = None
        self.input_data: Any = None
        self.output_data: Any = None
        self._token: Token[Span | None] | None = None
        self.bridge_token: Any = None

    def __enter__(self) -> Self:
        self._token = current.set(self)
        run = self.run
        if run.tracer.bridge is not None:
            run.enter_bridge(self)
        self.start_ns = run.clock_ns()
        if run.first is None:
            run.begin(self)
        return self

    def begin(self) -> None:
        """Start without becoming the current span: for whoever sets the variable step by step."""
        self.start_ns = self.run.clock_ns()
        if self.run.first is None:
            self.run.begin(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        token = self._token
        if token is not None:
            self._token = None
            try:
                current.reset(token)
            except (ValueError, RuntimeError):
                # Closed in a foreign context: there neither variable was ever set.
                self.bridge_token = None
        if self.bridge_token is not None:
            self.run.leave_bridge(self)
        self.end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def end(self, error: BaseException | None = None) -> None:
        """Finish and hand over; a second call does nothing."""
        if self.end_ns:
            return
        run = self.run
        self.end_ns = run.clock_ns()
        try:
            if error is not None:
                self.record_error(error)
            elif self.status == "unset":
                self.status = "ok"
            weight = SPAN_WEIGHT
            for value in self.attributes.values():
                cls = value.__class__
                if cls is str and len(value) <= MAX_TEXT:
                    weight += len(value)
                elif cls not in _LIGHT:
                    weight = self._settle_attributes()
                    break
            if self.input_data is not None or self.output_data is not None:
                weight += weigh(self.input_data) + weigh(self.output_data)
            self.weight = weight
            if self.kind == "llm":
                run.add_call(self)
            run.span_count += 1
            if run.sampled:
                run.emit(self)
            if run.first is self:
                run.finish(self)
        except Exception:  # noqa: BLE001  # traced code gets its result whatever the tracer does
            run.tracer.count_fault()

    def _settle_attributes(self) -> int:
        """Copy what could change or grow before the worker reads it; the weight of the result in bytes."""
        settled = {key: value if value.__class__ in _LIGHT else copy_content(value) for key, value in self.attributes.items()}
        self.attributes = settled
        return SPAN_WEIGHT + weigh(settled)

    def record_error(self, error: BaseException) -> None:
        """Mark the step as failed, or as cancelled when the error says so; an early stop of a generator is neither."""
        if isinstance(error, GeneratorExit):
            self.status = "ok" if self.status == "unset" else self.status
            return
        name = type(error).__name__
        cancelled = isinstance(error, _STOPPED) or (name in _CANCELLED and not isinstance(error, Exception))
        self.status = "cancelled" if cancelled else "error"
        self.failure = describe_failure(error, with_stack=self.run.tracer.keep_stacks)

    def set(self, name: str, value: object) -> None:
        """Set one attribute."""
        self.attributes[name] = value

    def set_input(self, value: object, *, capture: Capture | None = None) -> None:
        """Keep the step's input, as far as capture allows."""
        self.input_data = self._capture(value, capture)

    def set_output(self, value: object, *, capture: Capture | None = None) -> None:
        """Keep the step's output, as far as capture allows."""
        self.output_data = self._capture(value, capture)

    def _capture(self, value: object, capture: Capture | None) -> Any:
        level = capture or self.run.tracer.capture
        if level == "off":
            return None
        try:
            return describe_shape(value) if level == "shapes" else copy_content(value)
        except Exception:  # noqa: BLE001  # a foreign property may raise; the step must not notice
            self.run.tracer.count_fault()
            return None

    def record_usage(
        self, usage: Usage, *, cost_usd: Decimal | None = None, cost_source: str = "local", price_table: str | None = None
    ) -> None:
        """Note a model call's tokens and price; they are summed into the trace when this span is of kind `llm`.

        Args:
            usage: Tokens, normalised: cached ones are inside `input_tokens`.
            cost_usd: The price, None when it is not known.
            cost_source: `provider` when the answer named it, `local` when our table did.
            price_table: Version of that table.
        """
        self.attributes |= {
            names.INPUT_TOKENS: usage.input_tokens,
            names.OUTPUT_TOKENS: usage.output_tokens,
            names.CACHED_TOKENS: usage.cached_tokens,
            names.CACHE_WRITE_TOKENS: usage.cache_write_tokens,
            names.REASONING_TOKENS: usage.reasoning_tokens,
        }
        if cost_usd is not None:
            self.attributes |= {names.COST_AMOUNT: cost_usd, names.COST_CURRENCY: "USD", names.COST_SOURCE: cost_source}
        if price_table is not None:
            self.attributes[names.PRICES] = price_table

    def mark_first_content(self) -> None:
        """Note when the first content arrived; only the first call counts."""
        self.attributes.setdefault(names.FIRST_CHUNK_S, (self.run.clock_ns() - self.start_ns) / 1e9)

    @property
    def trace_id(self) -> str:
        """The trace's id as 32 hexadecimal digits."""
        return f"{self.run.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The W3C header that makes a callee's spans children of this one."""
        return f"00-{self.run.trace_id:032x}-{self.span_id:016x}-{self.run.flags:02x}"

    def __repr__(self) -> str:
        return f"<Span {self.name!r} {self.status} {self.span_id:016x}>"


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
