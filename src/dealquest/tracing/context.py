"""The doors to tracing: open a trace or a span, find the current one, carry it into threads and other machines.

Without a tracer every door costs one look at a variable and gives a span that does nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from dealquest.values import Principal

from . import names
from .no_span import NO_SPAN, NoSpan
from .spans import Kind, Maker, Span, current
from .tracer import Tracer

P = ParamSpec("P")
R = TypeVar("R")

_installed: Tracer | None = None


def install_tracer(tracer: Tracer | None) -> Tracer | None:
    """Make a tracer the process's own, None for no tracing; the former one comes back."""
    global _installed  # one for a process: libraries deep inside open spans without being handed a tracer
    former, _installed = _installed, tracer
    return former


@contextmanager
def installed_tracer(tracer: Tracer | None) -> Iterator[None]:
    """Install a tracer for the length of a block."""
    former = install_tracer(tracer)
    try:
        yield
    finally:
        install_tracer(former)


def trace(
    name: str,
    /,
    *,
    user: Principal | None = None,
    kind: Kind = "pipeline",
    traceparent: str | None = None,
    tracestate: str = "",
    tracer: Tracer | None = None,
    **attributes: Any,
) -> Span | NoSpan:
    """Begin a pipeline run; use it with `with` or `async with`.

    A trace inside another one is its own trace and names the outer one in an attribute.

    Args:
        name: The pipeline, such as `train`.
        user: Whose run it is.
        kind: What the root span is.
        traceparent: The caller's W3C header; an invalid one begins a new trace, its sampled flag is honoured.
        tracestate: The header that goes with it, carried on unread.
        tracer: Instead of the installed one.
        attributes: Facts about the run.
    """
    chosen: Maker | None = tracer or _installed
    outer = current.get()
    if chosen is None:
        if outer is None:
            return NO_SPAN
        chosen = outer.run.tracer
    if outer is not None:
        attributes[names.LINKED_TRACE] = outer.trace_id
    return chosen.start_run(name, kind, attributes, user=user, traceparent=traceparent, tracestate=tracestate)


def span(name: str, /, *, kind: Kind = "step", **attributes: Any) -> Span | NoSpan:
    """Begin a step inside the current trace; outside of any it is a trace of its own.

    Args:
        name: The step, such as `score`.
        kind: What it is; only `llm` spans count towards tokens and cost.
        attributes: Facts about it.
    """
    parent = current.get()
    if parent is None:
        if _installed is None:
            return NO_SPAN
        return _installed.start_run(name, kind, attributes)
    run = parent.run
    if run.tracer.bridge is not None:
        return Span(run, find_parent_id(parent), name, kind, attributes)
    return Span(run, parent.span_id, name, kind, attributes)


def llm_span(model: str, *, provider: str, operation: str = "chat", kind: Kind = "llm", **attributes: Any) -> Span | NoSpan:
    """Begin a call to a model, named and labelled as the GenAI convention says.

    Args:
        model: The model asked for.
        provider: The convention's provider name, such as `openai` or `anthropic`.
        operation: `chat`, `embeddings`, or `transcription` (ours).
        kind: Left at `llm` so that tokens and cost count.
        attributes: Further facts, such as `**{names.ATTEMPTS: 2}`.
    """
    labels = {names.OPERATION: operation, names.PROVIDER: provider, names.REQUEST_MODEL: model}
    return span(f"{operation} {model}", kind=kind, **labels, **attributes)


def find_parent_id(parent: Span) -> int:
    """The span id a new child hangs under: OpenTelemetry's current span when it lies deeper in the same trace."""
    bridge = parent.run.tracer.bridge
    other = bridge.current_parent() if bridge is not None else None
    return other[1] if other is not None and other[0] == parent.run.trace_id else parent.span_id


def current_span() -> Span | None:
    """The innermost open span here, if any."""
    return current.get()


def outgoing_headers() -> tuple[tuple[str, str], ...]:
    """The W3C headers that carry the current span to another machine; none outside of a trace."""
    here = current.get()
    if here is None:
        return ()
    headers = (("traceparent", here.traceparent),)
    return (*headers, ("tracestate", here.run.tracestate)) if here.run.tracestate else headers


def wrap_context(function: Callable[P, R]) -> Callable[P, R]:
    """A function that runs with the current span wherever it is called: for executors and raw threads."""
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context is entered by one thread at a time, so each call gets a copy.
        return context.copy().run(function, *args, **kwargs)

    return run
