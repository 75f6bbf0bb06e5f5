"""The collector: takes finished spans from traced code, and answers for every one of them.

    traced code ─emit─▸ queue ─worker: redact, encode─▸ log (spool on disk, or memory) ─one sender a sink─▸ sinks

At any moment, for each sink: emitted + adopted = delivered + spooled + queued + dead + dropped.
Traced code waits for nothing but an append; it is asked to help only when the queue is full.
"""

import atexit
import os
import random
import re
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from dealquest.errors import InputError

from .accounts import Accounts, DeadLetters, Warnings
from .limits import Limits
from .records import encode_line, encode_record
from .redact import Redactor
from .sender import BATCH_RECORDS, Sender
from .sinks.protocol import Sink
from .spans import Span, TraceMark
from .spool import Spool

Durability: TypeAlias = Literal["tick", "span", "off"]
Overflow: TypeAlias = Literal["spill", "drop_oldest", "drop_newest", "sample", "block"]

SPILL_RECORDS = 256
SPILL_WAIT_S = 0.05
WRITE_THROUGH_WAIT_S = 1.0
SCAN_FOR_PLAIN = 64
SWEEP_S = 10.0
CLOSE_S = 5.0


class Collector:
    """A `Recorder` that delivers to sinks. Start it by `with`, `async with`, or the first span; close it once.

    Args:
        sinks: Where records go; each has its own thread and its own cursor.
        spool: Folder that outlives the process; None keeps everything in memory.
        durability: `tick` writes the spool every 20 ms, `span` before a span's end returns, `off` not at all.
        overflow: What happens when the queue is full. `spill`: the emitting code writes a part of the queue itself.
            `sample` keeps errors and roots longest. `block` waits, for tests and batch jobs, and drops in the end.
        limits: Caps and rhythms.
        redactor: Takes secrets out; give it those the program holds.
        fsync: Whether each tick waits for the disk.
        rng: Jitter and probes, for tests.

    Raises:
        InputError: `tracing.sink_name` for a name that cannot name a cursor, or one given twice.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        spool: str | Path | None = None,
        durability: Durability = "tick",
        overflow: Overflow = "spill",
        limits: Limits | None = None,
        redactor: Redactor | None = None,
        fsync: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        names = [sink.name for sink in sinks]
        if len(set(names)) != len(names) or any(re.fullmatch(r"[a-z0-9_-]{1,40}", name) is None for name in names):
            raise InputError(f"Sink names must differ and be of a-z, 0-9, - and _: {names}.", code="tracing.sink_name")
        self.sinks = tuple(sinks)
        self.limits = limits or Limits()
        self.warnings = Warnings()
        folder = None if spool is None else Path(spool)
        self.dead_letters = DeadLetters(folder)
        self._folder = folder if durability != "off" else None
        self._write_through = durability == "span"
        self._overflow = overflow
        self._redactor = redactor or Redactor()
        self._fsync = fsync
        self._rng = rng or random.Random()  # noqa: S311  # jitter
        self._set_up()
        _collectors.add(self)

    def _set_up(self) -> None:
        # Re-entrant: a generator that the garbage collector ends may emit while this thread is inside emit.
        self._lock = threading.RLock()
        self._draining = threading.RLock()
        self._drainer = 0
        self._room = threading.Condition(self._lock)
        self._moved = threading.Condition()
        self._wake = threading.Event()
        self._queue: deque[Span | TraceMark] = deque()
        self._queued_bytes = 0
        self._unannounced = 0
        self._emitted = 0
        self._dropped: Counter[str] = Counter()
        self._started = False
        self._closed = False
        self._worker: threading.Thread | None = None
        self._spool = Spool(
            self._folder,
            [sink.name for sink in self.sinks],
            limits=self.limits,
            fsync=self._fsync,
            lock=self._lock,
            warn=self.warnings.warn,
        )
        self._senders = [
            Sender(
                sink,
                logs=lambda: self._spool.logs,
                bury=self.dead_letters.bury,
                interval_s=self.limits.export_interval_s,
                monotonic=time.monotonic,
                rng=random.Random(self._rng.random()),  # noqa: S311  # jitter
                warn=self.warnings.warn,
                moved=self._note_moved,
            )
            for sink in self.sinks
        ]

    def emit(self, record: Span | TraceMark) -> None:
        """Take a finished span. Called in traced code."""
        with self._lock:
            if not self._started and not self._closed:
                self.start()
            limits = self.limits
            full = len(self._queue) >= limits.queued_records or self._queued_bytes + record.weight > limits.queued_bytes
            refusal = "closed" if self._closed else "queue_full" if full and not self._make_room(record) else None
            # Counted only now: making room may have let others look at the books.
            self._emitted += 1
            if refusal is not None:
                self._drop(refusal)
                return
            self._queue.append(record)
            self._queued_bytes += record.weight
            waiting = len(self._queue)
        if self._write_through:
            self._drain(wait_s=WRITE_THROUGH_WAIT_S)
        elif full and self._overflow == "spill":
            self._drain(SPILL_RECORDS, wait_s=SPILL_WAIT_S)
        elif waiting == BATCH_RECORDS:
            self._wake.set()

    def _make_room(self, record: Span | TraceMark) -> bool:
        """Apply the overflow policy, the lock held; False when the new record itself is dropped."""
        if self._overflow == "spill":
            return True
        if self._overflow == "block":
            deadline = time.monotonic() + self.limits.block_s
            while self._is_full(record):
                self._wake.set()
                if not self._room.wait(max(0.0, deadline - time.monotonic())):
                    break
            if not self._is_full(record):
                return True
        if self._overflow == "drop_oldest":
            while self._queue and self._is_full(record):
                self._forget(0)
            return True
        if self._overflow == "sample" and _is_precious(record):
            plain = (index for index, item in enumerate(self._queue) if index < SCAN_FOR_PLAIN and not _is_precious(item))
            self._forget(next(plain, 0))
            return True
        return False

    def _is_full(self, record: Span | TraceMark) -> bool:
        return len(self._queue) >= self.limits.queued_records or self._queued_bytes + record.weight > self.limits.queued_bytes

    def _forget(self, index: int) -> None:
        self._queued_bytes -= self._queue[index].weight
        del self._queue[index]
        self._drop("queue_full")

    def _drop(self, reason: str) -> None:
        self._dropped[reason] += 1
        self.warnings.warn(reason, f"Spans are dropped: {reason}.")

    def _drain(self, at_most: int | None = None, *, wait_s: float = -1) -> None:
        """Redact, encode and store what is queued, one thread at a time.

        A wait without end is for our own threads: traced code may be inside `emit` already, when the garbage
        collector ends a generator there, and then the thread that drains waits for it.
        """
        if self._drainer == threading.get_ident() or not self._draining.acquire(timeout=wait_s):
            return
        self._drainer = threading.get_ident()
        try:
            left = len(self._queue) if at_most is None else at_most
            while left > 0 and (taken := self._take(min(left, BATCH_RECORDS))):
                left -= len(taken)
                self._store(taken)
        finally:
            self._drainer = 0
            self._draining.release()

    def _take(self, at_most: int) -> list[Span | TraceMark]:
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(at_most, len(self._queue)))]
            weight = sum(item.weight for item in taken)
            self._queued_bytes -= weight
            if self._overflow == "block":
                self._room.notify_all()
            return taken

    def _store(self, taken: list[Span | TraceMark]) -> None:
        lines: list[bytes] = []
        unreadable = 0
        for item in taken:
            try:
                lines.append(encode_line(encode_record(item, self._redactor)))
            except Exception:  # noqa: BLE001  # one odd value must not cost the other spans, nor end the worker
                unreadable += 1
        if self.sinks:
            self._spool.own.append(lines)
        if unreadable:
            self._dropped["not_encodable"] += unreadable
            self.warnings.warn("not_encodable", f"{unreadable} spans could not be encoded.")
        self._unannounced += len(lines)
        if self._unannounced >= BATCH_RECORDS:
            self._unannounced = 0
            self._hurry()

    def _hurry(self) -> None:
        for sender in self._senders:
            sender.hurry()

    def _work(self) -> None:
        self._spool.adopt()
        self._hurry()
        swept = time.monotonic()
        while not self._closed:
            self._wake.wait(self.limits.tick_s)
            self._wake.clear()
            self._drain()
            if time.monotonic() - swept > SWEEP_S or self._spool.is_growing:
                swept = time.monotonic()
                self._spool.sweep()

    def start(self) -> None:
        """Start the worker and the senders; a second call does nothing."""
        with self._lock:
            if self._started:
                return
            self._started = True
            self._worker = threading.Thread(target=self._work, name="dealquest-traces", daemon=True)
            self._worker.start()
            for sender in self._senders:
                sender.start()

    def read_accounts(self) -> dict[str, Accounts]:
        """What became of every record, by sink, at one moment."""
        # Nobody drains meanwhile, so no record is between the queue and the log.
        with self._draining, self._lock:
            return {sender.sink.name: self._read_account(sender) for sender in self._senders}

    def _read_account(self, sender: Sender) -> Accounts:
        with sender.counts_lock:
            waiting = self._spool.count(sender.sink.name)
            return Accounts(
                emitted=self._emitted,
                adopted=waiting.adopted,
                delivered=sender.delivered,
                spooled=waiting.on_disk,
                queued=len(self._queue) + waiting.in_memory,
                dead=sender.dead,
                dropped=dict(self._dropped + waiting.dropped),
                torn=self._spool.torn,
            )

    def flush(self, timeout_s: float = CLOSE_S) -> dict[str, int]:
        """Deliver what there is; returns what is still undelivered, by sink. An empty dict means: everything arrived or is accounted for.

        Args:
            timeout_s: Longest wait in seconds.
        """
        deadline = time.monotonic() + timeout_s
        self.start()
        self._drain()
        self._hurry()
        while (left := self._undelivered()) and not self._closed and (wait := deadline - time.monotonic()) > 0:
            with self._moved:
                self._moved.wait(min(wait, 0.05))
        return left

    def _undelivered(self) -> dict[str, int]:
        return {name: left for name, account in self.read_accounts().items() if (left := account.spooled + account.queued)}

    def _note_moved(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def close(self, timeout_s: float = CLOSE_S) -> dict[str, int]:
        """Stop taking spans, deliver what is possible in time, leave the rest in the spool; returns what is undelivered.

        Args:
            timeout_s: Longest wait in seconds; a sink that hangs may add half a second.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            started, was_closed, self._closed = self._started, self._closed, True
        if was_closed:
            return self._undelivered()
        self._wake.set()
        if self._worker is not None:
            self._worker.join(max(0.1, timeout_s))
        self._drain()
        if started:
            for sender in self._senders:
                sender.stop(deadline)
            for sender in self._senders:
                sender.join(deadline + 0.4 - time.monotonic())
        for sink in self.sinks:
            sink.close()
        self._spool.own.rescue()
        left = self._undelivered()
        with self._lock:
            self._spool.close()
            return left

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        from .hosting import host_sinks  # noqa: PLC0415  # anyio is loaded by those who have an event loop

        self._hosting = host_sinks(self.sinks)
        await self._hosting.__aenter__()
        self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        from .hosting import close_in_thread  # noqa: PLC0415  # see above

        try:
            await close_in_thread(self.close)
        finally:
            await self._hosting.__aexit__(None, None, None)

    def reset_after_fork(self) -> None:
        """In a forked child: leave the parent's records, files and threads alone and begin empty."""
        self._spool.abandon()
        for sink in self.sinks:
            reset = getattr(sink, "reset_after_fork", None)
            if reset is not None:
                reset()
        self.warnings = Warnings()
        self._set_up()


def _is_precious(record: Span | TraceMark) -> bool:
    return isinstance(record, TraceMark) or record.status == "error" or record.run.first is record


_collectors: "weakref.WeakSet[Collector]" = weakref.WeakSet()


def _close_all() -> None:
    for collector in list(_collectors):
        collector.close()


def _reset_all() -> None:
    for collector in list(_collectors):
        collector.reset_after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_reset_all)
