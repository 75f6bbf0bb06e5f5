"""Delivery: outages lose nothing, bad rows alone become dead letters, back-off is kept (P12)."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dealquest.testing.trace_sinks import MoodySink, away, emit_spans, make_records
from dealquest.tracing import (
    Accepted,
    Collector,
    Limits,
    Outcome,
    Record,
    Refused,
    Tracer,
    Unavailable,
    installed_tracer,
    read_records,
    replay,
)
from dealquest.tracing.log import Log
from dealquest.tracing.records import encode_line
from dealquest.tracing.sender import Dead, Sender

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


class Bench:
    """A sender driven by hand: no thread, no waiting."""

    def __init__(self, sink: MoodySink, records: Sequence[Record]) -> None:
        self.now = 0.0
        self.dead: list[Dead] = []
        self.log = Log([sink.name], folder=None, ring_bytes=1 << 24, fsync=False, monotonic=lambda: self.now, warn=lambda *_: None)
        self.log.append([encode_line(record) for record in records])
        self.sender = Sender(
            sink,
            logs=lambda: [self.log],
            bury=lambda _, dead: self.dead.extend(dead),
            interval_s=0.1,
            monotonic=lambda: self.now,
            rng=random.Random(1),
            warn=lambda *_: None,
            moved=lambda: None,
        )

    def step(self) -> bool:
        found = self.sender._next()
        return found is not None and self.sender._deliver(*found)

    def run(self, steps: int = 50) -> None:
        for _ in range(steps):
            self.step()


def refuse(*bad: str, reason: str = "HTTP 400 22001") -> object:
    def mood(records: Sequence[Record]) -> Outcome:
        return Refused(reason) if any(record.key in bad for record in records) else Accepted()

    return mood


@pytest.mark.parametrize("share", [1, 5, 60])
def test_only_bad_rows_become_dead_letters(share: int) -> None:
    """Of 500 rows exactly the bad ones are kept as dead letters; all others arrive once."""
    records = make_records(500)
    bad = {record.key for record in random.Random(share).sample(records, share)}
    sink = MoodySink(mood=refuse(*bad))  # type: ignore[arg-type]
    bench = Bench(sink, records)
    bench.run()
    assert {letter.record.key for letter in bench.dead} == bad
    assert sink.span_ids == {record.key for record in records} - bad
    assert (bench.sender.delivered, bench.sender.dead) == (500 - share, share)
    assert all(letter.reason == "HTTP 400 22001" for letter in bench.dead)


def test_a_sink_that_refuses_everything_is_an_outage() -> None:
    """While every row is refused nothing is given up; when it ends, everything arrives."""
    sink = MoodySink(mood=lambda _: Refused("HTTP 400"))
    bench = Bench(sink, make_records(120))
    bench.run(20)
    assert (bench.dead, sink.span_ids) == ([], set())
    sink.mood = None
    bench.run(20)
    assert (bench.sender.delivered, bench.sender.dead) == (120, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_sink_that_flaps_costs_no_row(seed: int) -> None:
    """A sink that refuses in spells, in the midst of the search for bad rows, makes no dead letter of a good row."""
    rng = random.Random(seed)
    records = make_records(60)
    bad = records[seed].key
    left = [0]

    def mood(batch: Sequence[Record]) -> Outcome:
        if left[0] == 0 and rng.random() < 0.1:
            left[0] = rng.randint(4, 30)
        if left[0]:
            left[0] -= 1
            return Refused("HTTP 400")
        return Refused("HTTP 400 22001") if any(record.key == bad for record in batch) else Accepted()

    sink = MoodySink(mood=mood)
    bench = Bench(sink, records)
    bench.run(400)
    assert [letter.record.key for letter in bench.dead] == [bad]
    assert len(sink.span_ids) == 59


def test_a_lone_bad_row_waits_for_a_witness() -> None:
    """A single refused row is no proof against itself; with company it is found."""
    first, second = make_records(2)
    bench = Bench(MoodySink(mood=refuse(first.key)), [first])  # type: ignore[arg-type]
    bench.run(10)
    assert bench.dead == []
    bench.log.append([encode_line(second)])
    bench.run(3)
    assert [letter.record for letter in bench.dead] == [first]


def test_a_body_too_large_is_halved() -> None:
    """413 splits the batch until it fits."""
    sink = MoodySink(mood=lambda records: Refused("HTTP 413", too_large=True) if len(records) > 30 else Accepted())
    bench = Bench(sink, make_records(200))
    bench.run(3)
    assert bench.sender.delivered == 200
    assert bench.dead == []


def test_backoff_doubles_with_jitter_to_its_ceiling_and_obeys_a_hint() -> None:
    """Waits grow from a quarter second to thirty, never beyond; an asked wait is kept as asked, nonsense is not."""
    sink = MoodySink(mood=away)
    bench = Bench(sink, make_records(1))
    waits = []
    for _ in range(14):
        bench.step()
        waits.append(bench.sender._not_before - bench.now)
    for number, wait in enumerate(waits):
        ceiling = min(30.0, 0.25 * 2**number)
        assert ceiling / 2 <= wait <= ceiling
    sink.mood = lambda _: Unavailable("busy", retry_after_s=7.0)
    bench.step()
    assert bench.sender._not_before - bench.now == 7.0
    for nonsense in (0.0, -5.0, 1e9):
        sink.mood = lambda _, nonsense=nonsense: Unavailable("busy", retry_after_s=nonsense)  # type: ignore[misc]
        bench.step()
        assert 0 < bench.sender._not_before - bench.now <= 30.0


def test_after_an_outage_batches_grow_from_small_oldest_first() -> None:
    """Recovery begins with 50 rows and doubles, in the order in which they were written."""
    records = make_records(700)
    sink = MoodySink(mood=away)
    bench = Bench(sink, records)
    bench.run(3)
    sink.mood, sink.calls = None, []
    bench.run(10)
    assert [count for _, count in sink.calls] == [50, 100, 200, 350]
    assert list(sink.rows) == [(True, record.key) for record in records]


def test_dead_letters_that_cannot_be_kept_are_not_given_up(tmp_path: Path) -> None:
    """When the dead-letter file refuses, the batch stays."""
    records = make_records(10)
    bench = Bench(MoodySink(mood=refuse(records[3].key)), records)  # type: ignore[arg-type]

    def refuse_to_keep(_: str, dead: Sequence[Dead]) -> None:
        raise OSError(28, "No space left on device")

    bench.sender._bury = refuse_to_keep
    assert not bench.step()
    assert bench.log.count_pending("moody") == 10


def test_a_sink_that_raises_ends_nothing() -> None:
    """A foreign sink's exception counts as an outage."""

    def mood(_: Sequence[Record]) -> Outcome:
        raise ZeroDivisionError

    sink = MoodySink(mood=mood)
    bench = Bench(sink, make_records(3))
    assert not bench.step()
    sink.mood = None
    assert bench.step()
    assert bench.sender.delivered == 3


def test_dead_letters_stand_in_a_file_and_replay(tmp_path: Path) -> None:
    """A refused row is kept with its reason, readable as rows, and a repaired sink takes it."""
    sink = MoodySink()
    sink.mood = lambda records: Refused("HTTP 400 22P02") if any(b'"number":7' in record.body for record in records) else Accepted()
    with Collector([sink], spool=tmp_path, limits=FAST) as collector, installed_tracer(Tracer(collector)):
        emit_spans(20)
        assert collector.flush(10) == {}
        account = collector.read_accounts()["moody"]
        assert account.balanced
    letters = list(read_records(tmp_path / "dead-moody.jsonl"))
    assert [letter.kind for letter in sorted(letters)] == ["b", "e", "s"]
    assert account.dead == 3
    assert all(b'"number":7' in letter.body for letter in letters)
    assert (tmp_path / "dead-moody.jsonl").stat().st_mode & 0o777 == 0o600
    sink.mood = None
    accepted, rest = replay(letters, sink)
    assert (accepted, rest) == (3, [])


def test_a_dead_sink_does_not_hold_the_others(tmp_path: Path) -> None:
    """One sink away, one hanging: the third gets everything at once."""
    hanging = MoodySink("hanging", mood=lambda _: time.sleep(0.5) or Unavailable("slow"))  # type: ignore[func-returns-value]
    gone, good = MoodySink("gone", mood=away), MoodySink("good")
    collector = Collector([hanging, gone, good], spool=tmp_path, limits=FAST)
    with collector, installed_tracer(Tracer(collector)):
        emit_spans(300)
        deadline = time.monotonic() + 5
        while len(good.span_ids) < 300 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(good.span_ids) == 300
        accounts = collector.read_accounts()
        assert accounts["gone"].delivered == 0
        assert all(account.balanced for account in accounts.values())
        hanging.mood = gone.mood = None
