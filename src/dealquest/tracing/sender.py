"""One thread for one sink: batches, back-off, and the search for bad rows.

A row is a dead letter only when the sink refuses it alone and takes another row of the same batch right
before and right after. A sink that refuses everything is an outage: nothing is given up.
After an outage the first batches are small and grow, oldest records first.
"""

import random
import threading
from collections.abc import Callable, Sequence

import attrs

from .log import Batch, Log
from .records import KINDS, Record
from .sinks.protocol import Accepted, Outcome, Refused, Sink, Unavailable

BATCH_RECORDS = 500
BATCH_BYTES = 1024 * 1024
FIRST_AFTER_OUTAGE = 50
PROBES = 3
REQUEST_TIMEOUT_S = 10.0
BACKOFF_FIRST_S = 0.25
BACKOFF_LAST_S = 30.0
LONGEST_ASKED_S = 600.0


@attrs.frozen
class Dead:
    """A record that the sink refuses for good, and why."""

    record: Record
    reason: str


class Sender:
    """Delivers what the logs hold for one sink.

    Args:
        sink: Where to.
        logs: The logs to read, oldest first; the list may change while this runs.
        bury: Keeps dead letters; raises OSError when it cannot.
        interval_s: Longest wait of a record for company.
        monotonic: Seconds that never run backwards.
        rng: For jitter and for the choice of probes.
        warn: Called with a reason and a message.
        moved: Called after each acknowledgement.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        logs: Callable[[], Sequence[Log]],
        bury: Callable[[str, Sequence[Dead]], None],
        interval_s: float,
        monotonic: Callable[[], float],
        rng: random.Random,
        warn: Callable[[str, str], None],
        moved: Callable[[], None],
    ) -> None:
        self.sink = sink
        self.delivered = 0
        self.dead = 0
        self.counts_lock = threading.Lock()
        self._logs = logs
        self._bury = bury
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._rng = rng
        self._warn = warn
        self._moved = moved
        self._wake = threading.Event()
        self._stop_at: float | None = None
        self._failures = 0
        self._not_before = 0.0
        self._asked_to_wait = False
        self._limit = BATCH_RECORDS
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(target=self._run, name=f"dealquest-traces-{self.sink.name}", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Deliver now what there is, without waiting for company; a running back-off is cut short, an asked wait is not."""
        self._wake.set()

    def stop(self, stop_at: float) -> None:
        """Deliver what is possible until an instant of the monotonic clock, then end."""
        self._stop_at = stop_at
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; whether it came."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            found = self._next()
            if found is not None:
                if not self._deliver(*found):
                    if self._stop_at is not None and self._pause_is_useless():
                        return
                    self._wait(self._not_before - self._monotonic())
                elif self._stop_at is not None and self._monotonic() >= self._stop_at:
                    return
                continue
            if self._stop_at is not None:
                return
            self._wait(self._interval_s)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(min(max(0.0, seconds), BACKOFF_LAST_S))
        self._wake.clear()
        # Hurry cuts our own back-off short; what the other side asked for ends only with time, or with the stop.
        while self._asked_to_wait and (left := self._not_before - self._monotonic()) > 0:
            if self._stop_at is not None and self._not_before >= self._stop_at:
                return
            self._wake.wait(left)
            self._wake.clear()

    def _pause_is_useless(self) -> bool:
        return self._stop_at is not None and self._not_before >= self._stop_at

    def _next(self) -> tuple[Log, Batch] | None:
        for log in self._logs():
            try:
                batch = log.read(self.sink.name, max_records=self._limit, max_bytes=BATCH_BYTES)
            except OSError as exc:
                self._warn("disk", f"The trace spool cannot be read ({exc.strerror or exc}).")
                continue
            if batch is not None:
                return log, batch
        return None

    def _deliver(self, log: Log, batch: Batch) -> bool:
        """Deliver a batch whole; False when the sink is away and the batch must be tried again."""
        dead: list[Dead] = []
        for kind in KINDS:
            group = _latest_of_each_id([record for record in batch.records if record.kind == kind])
            if group:
                outcome = self._settle(group, dead)
                if not isinstance(outcome, Accepted):
                    self._back_off(outcome)
                    return False
        if dead:
            try:
                self._bury(self.sink.name, dead)
            except OSError as exc:
                self._back_off(Unavailable(f"dead letters cannot be kept ({exc.strerror or exc})"))
                return False
        with self.counts_lock:
            if log.acknowledge(self.sink.name, batch):
                refused = {(item.record.kind, item.record.key) for item in dead}
                lost = sum((record.kind, record.key) in refused for record in batch.records) if refused else 0
                self.dead += lost
                self.delivered += len(batch.records) - lost
        self._failures = 0
        self._asked_to_wait = False
        self._limit = min(BATCH_RECORDS, self._limit * 2)
        self._moved()
        return True

    def _try(self, records: Sequence[Record]) -> Outcome:
        timeout_s = REQUEST_TIMEOUT_S
        if self._stop_at is not None:
            timeout_s = min(timeout_s, self._stop_at - self._monotonic())
            if timeout_s <= 0:
                return Unavailable("closing")
        try:
            return self.sink.deliver(records, timeout_s=timeout_s)
        except Exception as exc:  # noqa: BLE001  # a foreign sink that raises must not end the thread and lose the rest
            return Unavailable(f"the sink raised {type(exc).__name__}")

    def _settle(self, records: Sequence[Record], dead: list[Dead]) -> Outcome:
        """Accepted when every record is stored or found dead, else why the sink is away."""
        outcome = self._try(records)
        if not isinstance(outcome, Refused):
            return outcome
        if outcome.too_large and len(records) > 1:
            half = len(records) // 2
            first = self._settle(records[:half], dead)
            return self._settle(records[half:], dead) if isinstance(first, Accepted) else first
        return self._find_bad_rows(records, outcome, dead)

    def _find_bad_rows(self, records: Sequence[Record], refusal: Refused, dead: list[Dead]) -> Outcome:
        witness = None
        for probe in self._rng.sample(records, min(PROBES, len(records))):
            outcome = self._try([probe])
            if isinstance(outcome, Accepted):
                witness = probe
                break
            if isinstance(outcome, Unavailable):
                return outcome
        if witness is None:
            return Unavailable(f"it refuses everything: {refusal.reason}")
        suspects: list[Dead] = []
        parts = [[record for record in records if record is not witness]]
        while parts:
            part = parts.pop()
            outcome = self._try(part) if part else Accepted()
            if isinstance(outcome, Unavailable):
                return outcome
            if isinstance(outcome, Refused):
                if len(part) == 1:
                    suspects.append(Dead(part[0], outcome.reason))
                else:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        return self._confirm(witness, suspects, dead)

    def _confirm(self, witness: Record, suspects: list[Dead], dead: list[Dead]) -> Outcome:
        """Refuse to blame a row for a moment in which the sink refused everything."""
        for suspect in suspects:
            before, alone, after = (self._try([record]) for record in (witness, suspect.record, witness))
            for outcome in (before, alone, after):
                if isinstance(outcome, Unavailable):
                    return outcome
            if isinstance(before, Refused) or isinstance(after, Refused):
                return Unavailable("it refuses everything for the moment")
            if isinstance(alone, Refused):
                dead.append(suspect)
        return Accepted()

    def _back_off(self, outcome: Outcome) -> None:
        self._failures += 1
        self._limit = FIRST_AFTER_OUTAGE
        if self._stop_at is not None and self._monotonic() >= self._stop_at:
            return  # out of time: what is left is counted and said by whoever closes
        asked = outcome.retry_after_s if isinstance(outcome, Unavailable) else None
        asked = asked if asked is not None and 0 < asked <= LONGEST_ASKED_S else None
        ceiling = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2 ** min(self._failures - 1, 10))
        self._asked_to_wait = asked is not None
        self._not_before = self._monotonic() + (ceiling * self._rng.uniform(0.5, 1.0) if asked is None else asked)
        reason = outcome.reason if isinstance(outcome, (Unavailable, Refused)) else ""
        self._warn(f"sink {self.sink.name}", f"Traces wait for {self.sink.name}: {reason}.")


def _latest_of_each_id(records: Sequence[Record]) -> list[Record]:
    """PostgreSQL refuses to touch a row twice in one statement; the later one knows more."""
    return list({record.key: record for record in records}.values())
