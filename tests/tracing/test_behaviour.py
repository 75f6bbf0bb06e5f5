"""The behaviour matrix: what traced code does is what it did untraced, on asyncio and trio."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from contextvars import copy_context

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dealquest.testing import CapturedTraces
from dealquest.tracing import current_span, span, trace, traced_span, wrap_context


async def child(name: str) -> None:
    async with span(name):
        await anyio.lowlevel.checkpoint()
        with span(f"{name}.inner"):
            await anyio.lowlevel.checkpoint()


def expected_children(*names: str) -> list[tuple[str, list[tuple[str, list[object]]]]]:
    return [(name, [(f"{name}.inner", [])]) for name in names]


@pytest.mark.anyio
async def test_task_groups_keep_parents_apart(captured_traces: CapturedTraces) -> None:
    """Every child of a task group hangs under the span that started it."""
    async with trace("run"), anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(child, f"c{number}")
    run = captured_traces.span("run")
    for number in range(8):
        outer = captured_traces.span(f"c{number}")
        assert outer.parent_span_id == run.span_id
        assert captured_traces.span(f"c{number}.inner").parent_span_id == outer.span_id


def test_gather_and_task_group_of_asyncio_keep_parents_apart(captured_traces: CapturedTraces) -> None:
    """`gather` and `TaskGroup` inherit the current span by context copy."""

    async def main() -> None:
        async with trace("run"):
            await asyncio.gather(*(child(f"g{number}") for number in range(4)))
            async with asyncio.TaskGroup() as tasks:
                for number in range(4):
                    tasks.create_task(child(f"t{number}"))

    asyncio.run(main())
    run = captured_traces.span("run")
    for name in [f"{kind}{number}" for kind in "gt" for number in range(4)]:
        assert captured_traces.span(name).parent_span_id == run.span_id
        assert captured_traces.span(f"{name}.inner").parent_span_id == captured_traces.span(name).span_id


@pytest.mark.anyio
async def test_worker_threads_inherit(captured_traces: CapturedTraces) -> None:
    """A span in `to_thread` hangs under its caller's."""

    def work() -> None:
        with span("work"):
            pass

    async with trace("run"):
        await anyio.to_thread.run_sync(work)
    captured_traces.assert_tree(("run", [("work", [])]))


def test_executors_and_raw_threads_inherit_by_wrapping(captured_traces: CapturedTraces) -> None:
    """`wrap_context` carries the current span into an executor and into a raw thread, many calls at a time."""

    def work(name: str) -> None:
        with span(name):
            pass

    with trace("run"):
        wrapped = wrap_context(work)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(wrapped, [f"p{number}" for number in range(8)]))
        thread = threading.Thread(target=wrapped, args=("raw",))
        thread.start()
        thread.join()
    run = captured_traces.span("run")
    assert all(found.parent_span_id == run.span_id for found in captured_traces.spans if found.span_name != "run")
    assert len(captured_traces.spans) == 10


@traced_span("numbers")
async def numbers(count: int = 3) -> AsyncIterator[int]:
    for number in range(count):
        with span(f"make {number}"):
            await anyio.lowlevel.checkpoint()
        yield number


@pytest.mark.anyio
async def test_streams_hold_their_own_children_and_not_the_consumers(captured_traces: CapturedTraces) -> None:
    """Inside a traced async generator children nest; what the consumer does between items does not."""
    async with trace("run"):
        async for number in numbers():
            with span(f"use {number}"):
                pass
    captured_traces.assert_tree(
        ("run", [("numbers", [("make 0", []), ("make 1", []), ("make 2", [])]), ("use 0", []), ("use 1", []), ("use 2", [])])
    )
    stream = captured_traces.span("numbers")
    assert stream.attributes["dealquest.stream.items"] == 3
    assert stream.attributes["gen_ai.response.time_to_first_chunk"] >= 0


@pytest.mark.anyio
async def test_an_early_break_is_no_error(captured_traces: CapturedTraces) -> None:
    """Leaving a stream early ends its span as ok and leaves later spans where they belong."""
    async with trace("run"):
        async with aclosing(numbers()) as stream:  # type: ignore[type-var]  # an async generator at run time
            async for _ in stream:
                break
        with span("after"):
            pass
    assert captured_traces.span("numbers").status == "ok"
    assert captured_traces.span("after").parent_span_id == captured_traces.span("run").span_id


def test_a_break_without_closing_ends_the_span_at_collection(captured_traces: CapturedTraces) -> None:
    """A stream that is dropped on the floor ends when it is collected, without a detach error."""

    async def main() -> None:
        async with trace("run"):
            async for _ in numbers():
                break
            gc.collect()
            await asyncio.sleep(0.01)
            assert current_span() is not None
            with span("after"):
                pass

    asyncio.run(main())
    assert captured_traces.span("numbers").status == "ok"
    assert captured_traces.span("after").parent_span_id == captured_traces.span("run").span_id


@traced_span
async def echo() -> AsyncIterator[str]:
    got = yield "ready"
    while True:
        try:
            got = yield f"got {got}"
        except KeyError as exc:
            got = f"caught {exc.args[0]}"


@pytest.mark.anyio
async def test_asend_athrow_and_aclose_are_handed_through(captured_traces: CapturedTraces) -> None:
    """A traced async generator receives values and exceptions and answers them."""
    stream = echo()
    assert await stream.asend(None) == "ready"  # type: ignore[attr-defined]  # an async generator at run time
    assert await stream.asend("one") == "got one"  # type: ignore[attr-defined]
    assert await stream.athrow(KeyError("k")) == "got caught k"  # type: ignore[attr-defined]
    await stream.aclose()  # type: ignore[attr-defined]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert captured_traces.span("echo").status == "ok"


def test_sync_generators_send_throw_and_return(captured_traces: CapturedTraces) -> None:
    """A traced generator receives values and exceptions, and returns its value."""

    @traced_span("gen")
    def adder() -> Iterator[int]:
        total = 0
        while True:
            try:
                total += (yield total) or 0
            except KeyError:
                return total  # the value of `yield from`

    def outer() -> Iterator[int]:
        result = yield from adder()
        yield result * 100  # type: ignore[operator]

    stream = outer()
    assert [next(stream), stream.send(2), stream.send(3)] == [0, 2, 5]  # type: ignore[attr-defined]
    assert stream.throw(KeyError) == 500  # type: ignore[attr-defined]
    found = captured_traces.span("gen")
    assert (found.status, found.attributes["dealquest.stream.items"]) == ("ok", 3)


@pytest.mark.anyio
async def test_a_timeout_inside_a_stream_fires(captured_traces: CapturedTraces) -> None:
    """A deadline inside a traced stream ends it, as it would untraced."""

    @traced_span("slow")
    async def slow() -> AsyncIterator[int]:
        yield 1
        with anyio.fail_after(0.02):
            await anyio.sleep(5)
        yield 2

    stream = slow()
    assert await anext(stream) == 1
    with pytest.raises(TimeoutError):
        await anext(stream)
    assert captured_traces.span("slow").status == "error"


def test_asyncio_timeout_inside_a_stream_fires(captured_traces: CapturedTraces) -> None:
    """`asyncio.timeout` needs the same task for all steps of a stream; it has it."""

    @traced_span("slow")
    async def slow() -> AsyncIterator[int]:
        async with asyncio.timeout(0.05):
            yield 1
            await asyncio.sleep(5)

    async def main() -> None:
        async for _ in slow():
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert captured_traces.span("slow").error_type == "TimeoutError"


def test_a_cancel_scope_across_a_yield_works_on_asyncio(captured_traces: CapturedTraces) -> None:
    """A cancel scope entered in one step and left in another stays in its task."""

    @traced_span("scoped")
    async def scoped() -> AsyncIterator[int]:
        with anyio.move_on_after(0.05) as scope:
            yield 1
            await anyio.sleep(5)
        assert scope.cancelled_caught
        yield 2

    async def main() -> list[int]:
        return [item async for item in scoped()]

    assert anyio.run(main) == [1, 2]
    assert captured_traces.span("scoped").status == "ok"


@pytest.mark.anyio
async def test_a_cancelled_step_is_recorded_as_cancelled(captured_traces: CapturedTraces) -> None:
    """Cancellation is passed on and leaves a span of its own status."""

    @traced_span("step")
    async def step() -> None:
        await anyio.sleep(5)

    async with trace("run"):
        with anyio.move_on_after(0.01) as scope:
            await step()
    assert scope.cancelled_caught
    assert captured_traces.span("step").status == "cancelled"
    assert captured_traces.span("step").success is False
    assert captured_traces.span("run").status == "ok"


@pytest.mark.anyio
async def test_a_nested_trace_restores_the_outer_one(captured_traces: CapturedTraces) -> None:
    """After a trace inside a trace the outer one goes on, and the inner one names it."""
    async with trace("outer") as outer:
        async with trace("inner"), span("a"):
            pass
        async with span("b"):
            pass
    captured_traces.assert_tree(("outer", [("b", [])]), ("inner", [("a", [])]))
    assert captured_traces.span("inner").attributes["dealquest.linked_trace_id"] == outer.trace_id


@pytest.mark.anyio
async def test_results_are_what_they_were(captured_traces: CapturedTraces) -> None:
    """Strings, lists and foreign objects come back as themselves, a sync function stays sync, a method keeps its self."""
    marker = object()

    class Thing:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        __str__ = __repr__

        @traced_span("method")
        def method(self, value: object, *, when: object) -> object:
            return value

        @traced_span()
        async def slow(self) -> "Thing":
            return self

    thing = Thing()
    assert thing.method(marker, when=thing) is marker
    assert await thing.slow() is thing
    found = captured_traces.span("method")
    assert found.input_data == {"value": "<object>", "when": "<" + Thing.__qualname__ + ">"}
    assert found.output_data == "<object>"


def test_errors_keep_their_input_and_their_stack_hash(captured_traces: CapturedTraces) -> None:
    """A failed step raises as before, and its span keeps input, type, message and a hash that groups equal failures."""

    @traced_span("fail")
    def fail(number: int) -> None:
        raise ValueError(f"bad {number}")

    for number in (1, 2):
        with pytest.raises(ValueError, match="bad"):
            fail(number)
    first, second = captured_traces.spans
    assert (first.error_type, first.error, first.input_data) == ("ValueError", "bad 1", {"number": 1})
    assert first.stack_hash == second.stack_hash != None  # noqa: E711  # a chain of comparisons


def test_an_exception_whose_text_fails_is_recorded_anyway(captured_traces: CapturedTraces) -> None:
    """The traced code's own exception arrives, also when its `__str__` raises."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(OddError), span("odd"):
        raise OddError
    assert "cannot be read" in (captured_traces.span("odd").error or "")


def test_a_span_outside_of_a_trace_is_a_trace_of_its_own(captured_traces: CapturedTraces) -> None:
    """Nothing vanishes silently outside of a trace."""
    with span("alone"), span("child"):
        pass
    captured_traces.assert_tree(("alone", [("child", [])]))


def test_a_span_closed_in_a_foreign_context_raises_nothing(captured_traces: CapturedTraces) -> None:
    """Leaving a span in another context than it was entered in is tolerated, and it is recorded."""
    step = span("wandering")
    copy_context().run(step.__enter__)
    step.__exit__(None, None, None)
    assert captured_traces.span("wandering").status == "ok"


@pytest.mark.anyio
async def test_without_a_tracer_everything_runs_and_nothing_is_kept() -> None:
    """Off means off: the same results, no span, for functions, streams and blocks."""
    async with trace("run") as run, span("step") as step:
        run.set("a", 1)
        step.set_output("x")
        step.mark_first_content()
        assert [number async for number in numbers(2)] == [0, 1]
        assert current_span() is None
    assert (run.trace_id, run.traceparent) == ("", "")


@pytest.mark.anyio
async def test_a_recorder_that_fails_does_not_reach_the_traced_code() -> None:
    """A broken recorder costs a count, never a result."""
    from dealquest.tracing import Tracer, installed_tracer

    class Broken:
        def emit(self, record: object) -> None:
            raise RuntimeError("broken")

    tracer = Tracer(Broken())
    with installed_tracer(tracer):
        async with trace("run"):
            assert [number async for number in numbers(2)] == [0, 1]
    assert tracer.faults > 0
