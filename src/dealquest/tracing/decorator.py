"""`traced_span`: a span around a function, coroutine, generator or async generator, decided once at decoration.

A generator runs in its consumer's own task and context: the current span is set before each of its steps and
reset after it, so what the consumer does between two items is not inside, and timeouts and cancel scopes work.
`send`, `throw` and `close` are handed through. Items are counted, not kept, but for the end of a stream of texts under `capture="content"`.
"""

import functools
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Token
from typing import Any, ParamSpec, TypeVar, overload

from . import names
from .capture import Capture
from .context import span as open_span
from .no_span import NoSpan
from .spans import Kind, Span, current

P = ParamSpec("P")
R = TypeVar("R")


@overload
def traced_span(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def traced_span(
    name: str | None = None, /, *, kind: Kind = "step", capture: Capture | None = None, **attributes: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def traced_span(
    name: str | Callable[..., Any] | None = None, /, *, kind: Kind = "step", capture: Capture | None = None, **attributes: Any
) -> Any:
    """Trace each call of a function.

    Args:
        name: The span's name; the function's qualified name when left out.
        kind: What the step is.
        capture: What to keep of arguments and result; the tracer's own level when left out.
        attributes: Facts set on every span.
    """
    if callable(name):
        return _Plan(name, None, kind, capture, attributes).wrap()
    return lambda function: _Plan(function, name, kind, capture, attributes).wrap()


TAIL_CHARS = 8_000
"""How much of the end of a stream of texts a span keeps under `capture="content"`."""


class _Plan:
    """All that is known at decoration time."""

    def __init__(
        self, function: Callable[..., Any], name: str | None, kind: Kind, capture: Capture | None, attributes: dict[str, Any]
    ) -> None:
        self.function = function
        self.name = name or getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")
        self.kind = kind
        self.capture = capture
        self.attributes = attributes
        try:
            self.parameters = tuple(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            self.parameters = ()

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span | NoSpan:
        step = open_span(self.name, kind=self.kind, **self.attributes)
        if type(step) is Span and (self.capture or step.run.tracer.capture) != "off":
            step.set_input(self._name_arguments(args, kwargs), capture=self.capture)
        return step

    def _name_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        known = self.parameters
        named = {known[index] if index < len(known) else f"argument_{index}": value for index, value in enumerate(args)}
        if args and known and known[0] in {"self", "cls"}:
            del named[known[0]]
        return {**named, **kwargs}

    def close(self, step: Span | NoSpan, result: Any) -> None:
        if type(step) is Span and result is not None:
            step.set_output(result, capture=self.capture)

    def wrap(self) -> Callable[..., Any]:
        function = self.function
        if inspect.isasyncgenfunction(function):
            return self._wrap_async_generator()
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator()
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with self.open(args, kwargs) as step:
                    result = await function(*args, **kwargs)
                    self.close(step, result)
                    return result

            return run_async

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.open(args, kwargs) as step:
                result = function(*args, **kwargs)
                self.close(step, result)
                return result

        return run

    def _wrap_generator(self) -> Callable[..., Any]:
        function = self.function

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner = function(*args, **kwargs)
            step = self.open(args, kwargs)
            if type(step) is not Span:
                return (yield from inner)
            stream = _Stream(step, self.capture)
            advance, given = inner.send, None
            try:
                while True:
                    token = stream.resume()
                    try:
                        item = advance(given)
                    finally:
                        stream.pause(token)
                    stream.take(item)
                    try:
                        advance, given = inner.send, (yield item)
                    except GeneratorExit:
                        stream.run_inside(inner.close)
                        raise
                    except BaseException as error:  # noqa: BLE001  # whatever is thrown in belongs to the inner generator
                        advance, given = inner.throw, error
            except StopIteration as stop:
                stream.end(None)
                return stop.value
            except BaseException as error:
                stream.end(error)
                raise

        return run

    def _wrap_async_generator(self) -> Callable[..., Any]:
        function = self.function

        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            inner = function(*args, **kwargs)
            step = self.open(args, kwargs)
            stream = _Stream(step, self.capture) if type(step) is Span else _NoStream()
            advance, given = inner.asend, None
            try:
                while True:
                    token = stream.resume()
                    try:
                        item = await advance(given)
                    finally:
                        stream.pause(token)
                    stream.take(item)
                    try:
                        advance, given = inner.asend, (yield item)
                    except GeneratorExit:
                        token = stream.resume()
                        try:
                            await inner.aclose()
                        finally:
                            stream.pause(token)
                        raise
                    except BaseException as error:  # noqa: BLE001  # whatever is thrown in belongs to the inner generator
                        advance, given = inner.athrow, error
            except StopAsyncIteration:
                stream.end(None)
            except BaseException as error:
                stream.end(error)
                raise

        return run


class _Stream:
    """The span of a generator: it begins with the first step and ends with the last one, however that comes."""

    __slots__ = ("capture", "count", "first_ns", "span", "tail", "tail_chars")

    def __init__(self, step: Span, capture: Capture | None) -> None:
        self.span = step
        self.count = 0
        self.first_ns = 0
        self.capture = capture
        self.tail: deque[str] | None = deque() if (capture or step.run.tracer.capture) == "content" else None
        self.tail_chars = 0

    def take(self, item: Any) -> None:
        """Count an item; under `content` the last characters of a stream of texts are kept, nothing else of any item."""
        self.count += 1
        if self.tail is None or type(item) is not str or not item:
            return
        self.tail.append(item)
        self.tail_chars += len(item)
        while self.tail_chars - len(self.tail[0]) >= TAIL_CHARS:
            self.tail_chars -= len(self.tail.popleft())

    def resume(self) -> Token[Span | None]:
        span = self.span
        token = current.set(span)
        if not span.start_ns:
            span.begin()
        if span.run.tracer.bridge is not None:
            span.run.enter_bridge(span)
        return token

    def pause(self, token: Token[Span | None] | None) -> None:
        span = self.span
        if not self.first_ns:
            self.first_ns = span.run.clock_ns()
        if span.run.tracer.bridge is not None:
            span.run.leave_bridge(span)
        try:
            if token is not None:
                current.reset(token)
        except ValueError:
            span.run.tracer.count_fault()

    def run_inside(self, function: Callable[[], Any]) -> None:
        token = self.resume()
        try:
            function()
        finally:
            self.pause(token)

    def end(self, error: BaseException | None) -> None:
        self.span.attributes[names.ITEMS] = self.count
        if self.count:
            self.span.attributes[names.FIRST_CHUNK_S] = (self.first_ns - self.span.start_ns) / 1e9
        if self.tail:
            self.span.set_output("".join(self.tail)[-TAIL_CHARS:], capture=self.capture)
        self.span.end(error)


class _NoStream:
    """The same while nobody traces: what it is given is not looked at."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def take(self, item: Any) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""

    def pause(self, token: Token[Span | None] | None) -> None:
        """Do nothing."""

    def end(self, error: BaseException | None) -> None:
        """Do nothing."""
