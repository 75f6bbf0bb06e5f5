"""The hook through which somebody watches calls, and the usual watcher: a span per call where a tracer is installed.

Nothing is sent from here, and nothing is imported for programs that do not trace.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from .messages import Ask, Attempt, Completion
from .prices import PRICES_READ
from .routes import Route

if TYPE_CHECKING:
    from dealquest.tracing import Span


class CallWatch(Protocol):
    """Watches one call. What it raises would reach the caller: keep it simple."""

    def attempt_ended(self, attempt: Attempt) -> None:
        """A request was answered, failed or was cancelled."""
        ...

    def call_ended(self, completion: Completion | None, error: BaseException | None) -> None:
        """The call is over: answered, failed or cancelled."""
        ...


class Observer(Protocol):
    """Is told about every call."""

    def call_started(self, ask: Ask, routes: Sequence[Route], *, streamed: bool) -> CallWatch:
        """A call begins."""
        ...


class SilentWatch:
    """Watches nothing."""

    def attempt_ended(self, attempt: Attempt) -> None:
        """Ignored."""

    def call_ended(self, completion: Completion | None, error: BaseException | None) -> None:
        """Ignored."""


class SpanObserver:
    """Opens a span per call under the current one: model, attempts, tokens, cost, and content as far as the tracer keeps it."""

    def call_started(self, ask: Ask, routes: Sequence[Route], *, streamed: bool) -> CallWatch:
        """A call begins; silent while nobody traces."""
        # Whoever traces has imported tracing; the others do not pay for it.
        if "dealquest.tracing" not in sys.modules:
            return _SILENT
        from dealquest.tracing import Span, llm_span  # noqa: PLC0415  # see above

        span = llm_span(routes[0].model, provider=routes[0].provider.name)
        if not isinstance(span, Span):
            return _SILENT
        # A stream is read in the caller's own blocks, so its span never becomes the current one.
        span.begin()
        span.set("gen_ai.request.max_tokens", ask.max_tokens)
        span.set("gen_ai.request.stream", streamed)
        span.set_input([{"role": message.role, "content": message.text} for message in ask.messages])
        return _SpanWatch(span)


class _SpanWatch:
    def __init__(self, span: "Span") -> None:
        self._span = span
        self._attempts: list[Attempt] = []

    def attempt_ended(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)

    def call_ended(self, completion: Completion | None, error: BaseException | None) -> None:
        from dealquest.tracing import names  # noqa: PLC0415  # see above

        span = self._span
        span.set(names.ATTEMPTS, len(self._attempts))
        span.set(names.FALLBACKS, len({(attempt.provider, attempt.model) for attempt in self._attempts}) - 1 if self._attempts else 0)
        if completion is not None:
            span.set(names.RESPONSE_MODEL, completion.model)
            span.set(names.RESPONSE_ID, completion.request_id)
            span.set(names.FINISH_REASONS, (completion.finish,))
            source = "provider" if completion.cost_source == "provider" else "local"
            span.record_usage(completion.usage, cost_usd=completion.cost_usd, cost_source=source, price_table=PRICES_READ)
            span.set_output(completion.text)
        span.end(error)


_SILENT = SilentWatch()
