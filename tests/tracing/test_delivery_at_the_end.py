"""How delivery ends, and what happens where the file system or another process is in the way."""

import errno
import fcntl
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dealquest.testing.trace_sinks import MoodySink, make_records
from dealquest.tracing import Accepted, Outcome, Record, Refused, Unavailable
from dealquest.tracing.log import Log
from dealquest.tracing.owner import describe_process, take_ownership
from dealquest.tracing.records import encode_line
from dealquest.tracing.sender import Sender


def make_sender(mood: Callable[[Sequence[Record]], Outcome], records: Sequence[Record], *, clock: list[float] | None = None) -> Sender:
    """A sender with its own thread and a clock that tests may turn."""
    now = clock or [0.0]
    sink = MoodySink(mood=mood)
    log = Log([sink.name], folder=None, ring_bytes=1 << 24, fsync=False, monotonic=lambda: now[0], warn=lambda *_: None)
    log.append([encode_line(record) for record in records])
    return Sender(
        sink,
        logs=lambda: [log],
        bury=lambda *_: None,
        interval_s=0.01,
        monotonic=lambda: now[0],
        rng=random.Random(1),
        warn=lambda *_: None,
        moved=lambda: None,
    )


def test_a_sender_that_never_ran_has_nothing_to_wait_for() -> None:
    """Joining it is done at once."""
    assert make_sender(lambda _: Accepted(), []).join(0.0)


def test_delivery_ends_at_its_time_though_more_is_there() -> None:
    """A stop in the past lets the batch under way pass and no further one."""
    clock = [0.0]

    def slow(records: Sequence[Record]) -> Outcome:
        clock[0] += 10
        return Accepted()

    sender = make_sender(slow, make_records(2000), clock=clock)
    sender.stop(5.0)
    sender.start()
    assert sender.join(10)
    assert 0 < sender.delivered < 2000


def test_a_wait_that_was_asked_for_beyond_the_stop_is_not_begun() -> None:
    """A sink that asks for an hour is not waited for when the end comes earlier."""
    sender = make_sender(lambda _: Unavailable("busy", retry_after_s=3600), make_records(3))
    sender.start()
    sender.stop(5.0)
    assert sender.join(10)
    assert sender.delivered == 0


def test_an_outage_while_a_bad_row_is_looked_for_is_an_outage() -> None:
    """A batch that is refused, and then nobody answers: nothing is buried, all of it waits."""
    answers: list[Outcome] = [Refused("HTTP 400"), Unavailable("gone")]
    sender = make_sender(lambda _: answers.pop(0) if answers else Unavailable("gone"), make_records(50))
    sender.stop(0.5)
    sender.start()
    assert sender.join(10)
    assert (sender.delivered, sender.dead) == (0, 0)


def test_a_file_system_without_locks_knows_owners_by_their_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `flock` is not to be had, a living process that is named in the file keeps the folder; a dead one does not."""

    def refuse(code: int) -> Any:
        def flock(fd: int, operation: int) -> None:
            raise OSError(code, os.strerror(code))

        return flock

    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    (tmp_path / "lock").write_bytes(describe_process(os.getppid()).ljust(64))
    assert take_ownership(tmp_path) is None
    (tmp_path / "lock").write_bytes(b"1 1".ljust(64))
    owned = take_ownership(tmp_path)
    assert owned is not None
    owned.release()
    owned.release()
    assert (tmp_path / "lock").read_bytes().strip() == describe_process(os.getpid())
    monkeypatch.setattr(fcntl, "flock", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        take_ownership(tmp_path)
