"""The collector's books are exact, its flush is truthful, its close keeps its deadline (P12, K3)."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import anyio
import pytest
from blockbuster import blockbuster_ctx

from dealquest.errors import InputError
from dealquest.testing import ScriptedTransport
from dealquest.testing.trace_sinks import MoodySink, away, emit_spans
from dealquest.tracing import (
    Accepted,
    Collector,
    Limits,
    Outcome,
    Overflow,
    PostgrestSink,
    Record,
    Tracer,
    Unavailable,
    installed_tracer,
    span,
    trace,
)
from dealquest.wire import HttpRequest, HttpResponse

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


@pytest.mark.parametrize("overflow", get_args(Overflow))
@pytest.mark.parametrize("spooled", [True, False])
def test_p12_the_books_balance_at_every_moment(tmp_path: Path, overflow: Overflow, spooled: bool) -> None:
    """Under load from four threads with a flapping sink: emitted = delivered + spooled + queued + dead + dropped, always."""
    rng = random.Random(1)
    sink = MoodySink(mood=lambda _: Unavailable("flap") if rng.random() < 0.3 else Accepted())
    limits = Limits(queued_records=300, queued_bytes=400_000, export_interval_s=0.01, tick_s=0.01, block_s=0.05)
    collector = Collector([sink], spool=tmp_path if spooled else None, overflow=overflow, limits=limits)
    looks = 0
    with collector, installed_tracer(Tracer(collector)):

        def load() -> None:
            with trace("load"):
                for number in range(1500):
                    with span("step", number=number):
                        if number % 100 == 0:
                            time.sleep(0.002)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            account = collector.read_accounts()["moody"]
            assert account.balanced, account
            looks += 1
        for thread in threads:
            thread.join()
        sink.mood = None
        assert collector.flush(20) == {}
        account = collector.read_accounts()["moody"]
    assert looks > 3
    assert account.emitted == 4 * (1500 + 1 + 2)
    assert account.balanced
    assert account.delivered + sum(account.dropped.values()) == account.emitted
    if overflow == "spill" and spooled:
        assert account.dropped == {}
        assert len(sink.span_ids) == 4 * 1501


def test_flush_tells_the_truth(tmp_path: Path) -> None:
    """While the sink is away flush says how much waits; when it is back, nothing does."""
    sink = MoodySink(mood=away)
    with Collector([sink, MoodySink("good")], spool=tmp_path, limits=FAST) as collector, installed_tracer(Tracer(collector)):
        emit_spans(10)
        start = time.monotonic()
        assert collector.flush(0.3) == {"moody": 30}
        assert time.monotonic() - start < 1.0
        sink.mood = None
        assert collector.flush(10) == {}
        assert len(sink.span_ids) == 10


def hang(records: Sequence[Record]) -> Outcome:
    time.sleep(30)
    return Accepted()


@pytest.mark.parametrize("mood", [away, hang])
def test_close_keeps_its_deadline_and_leaves_the_rest_in_the_spool(tmp_path: Path, mood: object) -> None:
    """With a sink away or hanging at exit close ends in time, and the next process delivers everything."""
    collector = Collector([MoodySink(mood=mood)], spool=tmp_path, limits=FAST)  # type: ignore[arg-type]
    with installed_tracer(Tracer(collector)):
        emit_spans(50)
    time.sleep(0.1)
    start = time.monotonic()
    left = collector.close(0.5)
    assert time.monotonic() - start < 1.0 + 0.2
    assert left == {"moody": 150}
    good = MoodySink()
    with Collector([good], spool=tmp_path, limits=FAST) as successor:
        deadline = time.monotonic() + 5
        while successor.read_accounts()["moody"].delivered < 150 and time.monotonic() < deadline:
            time.sleep(0.01)
        account = successor.read_accounts()["moody"]
    assert (account.adopted, account.delivered, account.balanced) == (150, 150, True)
    assert len(good.span_ids) == 50
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_without_a_spool_the_rest_is_counted_as_lost() -> None:
    """What no spool can keep is said to be lost, not delivered."""
    collector = Collector([MoodySink(mood=away)], limits=FAST)
    with installed_tracer(Tracer(collector)):
        emit_spans(5)
        collector.close(0.1)
        emit_spans(1)
    account = collector.read_accounts()["moody"]
    assert account.dropped == {"closed": 15 + 3}
    assert account.balanced


def test_errors_and_roots_go_last_under_sample() -> None:
    """With a full queue `sample` keeps errors and roots and lets plain steps go."""
    sink = MoodySink()
    limits = Limits(queued_records=40, tick_s=30.0, export_interval_s=0.01)
    collector = Collector([sink], overflow="sample", limits=limits)
    with installed_tracer(Tracer(collector)):
        with trace("run"):
            emit_spans(60)
            for number in range(10):
                with pytest.raises(ValueError, match="x"), span(f"error {number}"):
                    raise ValueError("x")
        collector.flush(5)
    names = {row.span_name for row in (record.decode() for record in sink.rows.values() if record.kind == "s")}  # type: ignore[union-attr]
    assert {f"error {number}" for number in range(10)} | {"run"} <= names
    assert collector.read_accounts()["moody"].dropped["queue_full"] == 33
    collector.close()


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_the_queue_drops_at_the_end_it_says(overflow: Overflow) -> None:
    """`drop_oldest` keeps the newest, `drop_newest` the oldest."""
    sink = MoodySink()
    collector = Collector([sink], overflow=overflow, limits=Limits(queued_records=30, tick_s=30.0, export_interval_s=0.01))
    with installed_tracer(Tracer(collector)), trace("run"):
        emit_spans(100)
        collector.flush(5)
    numbers = [record.decode().attributes["number"] for record in sink.rows.values() if record.kind == "s"]
    assert (max(numbers) == 99) == (overflow == "drop_oldest")
    assert (min(numbers) == 0) == (overflow == "drop_newest")
    collector.close()


def test_large_spans_count_by_their_bytes() -> None:
    """A queue of few but heavy spans is bounded too."""
    limits = Limits(queued_bytes=200_000, tick_s=30.0)
    collector = Collector([MoodySink()], overflow="drop_newest", limits=limits)
    with installed_tracer(Tracer(collector, capture="content")), trace("run"):
        for _ in range(100):
            with span("heavy", text="x" * 8000):
                pass
        assert collector.read_accounts()["moody"].queued < 30
    collector.close()


def test_the_spool_keeps_its_cap(tmp_path: Path) -> None:
    """Beyond its bytes the spool lets the oldest segments go, and counts them."""
    limits = Limits(spool_bytes=3 * 1024 * 1024, export_interval_s=0.02, tick_s=0.005)
    collector = Collector([MoodySink(mood=away)], spool=tmp_path, limits=limits)
    with collector, installed_tracer(Tracer(collector)), trace("run"):
        for _ in range(3000):
            with span("step", text="x" * 3000):
                pass
        collector.flush(0.1)
        time.sleep(0.2)
        account = collector.read_accounts()["moody"]
        size = sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    assert account.dropped["spool_full"] > 0
    assert account.balanced
    assert size < 5 * 1024 * 1024


def test_a_name_that_cannot_be_a_cursor_is_refused() -> None:
    """Sink names must be safe file names, and differ."""
    for sinks in ([MoodySink("a"), MoodySink("a")], [MoodySink("../x")], [MoodySink("")]):
        with pytest.raises(InputError) as caught:
            Collector(sinks)
        assert caught.value.code == "tracing.sink_name"


@pytest.mark.anyio
async def test_an_application_opens_it_with_async_with(tmp_path: Path) -> None:
    """Inside `async with` spans are delivered, and leaving delivers the rest without stopping the event loop."""
    sink = MoodySink(mood=lambda _: time.sleep(0.05) or Accepted())  # type: ignore[func-returns-value]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.005)
            ticks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        async with Collector([sink], spool=tmp_path, limits=FAST) as collector:
            with installed_tracer(Tracer(collector)):
                async with trace("run"):
                    emit_spans(10)
        tasks.cancel_scope.cancel()
    assert len(sink.span_ids) == 11
    assert ticks > 3


def test_a3_spans_never_block_the_event_loop(tmp_path: Path) -> None:
    """In the default mode neither opening, emitting nor closing touches a file or a socket on the loop."""

    async def main() -> None:
        async with Collector([PostgrestSink(Answering())], spool=tmp_path, limits=FAST) as collector:
            with installed_tracer(Tracer(collector, capture="content")):
                async with trace("run"):
                    for _ in range(600):
                        async with span("step") as step:
                            step.set_input({"a": [1, 2]})
                    await anyio.sleep(0.05)
            opened.append(collector)

    class Answering(ScriptedTransport):
        async def send(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(status=201)

    opened: list[Collector] = []
    with blockbuster_ctx() as blockbuster:
        for lock in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            blockbuster.functions[lock].can_block_in("coverage/collector.py", "lock_data")  # the measurement's, not ours
        anyio.run(main)
    assert opened[0].read_accounts()["postgrest"].delivered == 603


def test_a_forked_child_has_books_of_its_own(tmp_path: Path) -> None:
    """The parent's queued spans are the parent's; a child emits and spools for itself, and neither loses or doubles."""
    collector = Collector([MoodySink(mood=away)], spool=tmp_path, limits=Limits(tick_s=0.005))
    with installed_tracer(Tracer(collector)):
        emit_spans(10)
        time.sleep(0.05)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                emit_spans(7)
                account = collector.read_accounts()["moody"]
                collector.close(0.1)
                code = 0 if account.emitted == 21 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        emit_spans(3)
    assert collector.close(0.1) == {"moody": 39}
    good = MoodySink()
    with Collector([good], spool=tmp_path, limits=FAST) as successor:
        deadline = time.monotonic() + 5
        while successor.read_accounts()["moody"].delivered < 60 and time.monotonic() < deadline:
            time.sleep(0.01)
        account = successor.read_accounts()["moody"]
    assert (account.adopted, account.balanced) == (60, True)
    assert len(good.span_ids) == 20


EXIT = """
import sys
from pathlib import Path
from dealquest.tracing import *
install_tracer(Tracer(Collector([JsonlSink(Path(sys.argv[1]))])))
with trace("run"):
    pass
"""


def test_a_plain_script_needs_no_close(tmp_path: Path) -> None:
    """At interpreter exit what is queued is delivered."""
    subprocess.run([sys.executable, "-c", EXIT, str(tmp_path / "out.jsonl")], check=True, timeout=30)
    assert (tmp_path / "out.jsonl").read_bytes().count(b'"kind":"s"') == 1


def test_an_odd_value_costs_one_span_at_most() -> None:
    """A value whose look-up raises is counted, and the spans around it arrive."""

    class Odd(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError("odd")

    sink = MoodySink()
    with Collector([sink], limits=FAST) as collector:
        tracer = Tracer(collector)
        with installed_tracer(tracer), trace("run"):
            with span("before"):
                pass
            with span("odd", value=Odd(a=1)):
                pass
            with span("after"):
                pass
        collector.flush(5)
        account = collector.read_accounts()["moody"]
    assert account.balanced
    assert len(sink.span_ids) + tracer.faults + sum(account.dropped.values()) == 4
    assert len(sink.span_ids) >= 3
