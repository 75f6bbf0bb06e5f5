"""A disk that takes only a part: what is kept ends with a whole line, in a journal of evaluations as in a file of traces."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dealquest import evals
from dealquest.errors import LimitError
from dealquest.evals.journal import Journal
from dealquest.testing.trace_sinks import make_records
from dealquest.tracing import Accepted, Unavailable
from dealquest.tracing.sinks.jsonl import JsonlSink


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit on the size of files stands for the full disk: the kernel takes a write as far as it goes."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_journal_takes_whole_lines_or_none(tmp_path: Path) -> None:
    """A write that the disk takes half is taken back, and nothing is written behind it any more."""
    path = tmp_path / "run.jsonl"
    with Journal(path) as journal, largest_file(1_000):
        journal.write_raw(b"x" * 899 + b"\n")
        for _ in range(2):
            with pytest.raises(LimitError) as caught:
                journal.write_raw(b"y" * 499 + b"\n")
            assert caught.value.code == "evals.journal.full"
    assert path.read_bytes() == b"x" * 899 + b"\n"


def test_a_run_on_a_full_disk_ends_at_once_and_goes_on_later(tmp_path: Path) -> None:
    """No further answer is bought that could not be kept; with room again the rest is done."""

    async def wordy(case: evals.Case) -> str:
        return "Hello? " * 2_000

    def run() -> evals.Run:
        return evals.run_sync(
            "foundations",
            subjects=[evals.subject(wordy, version="1")],
            scorers=[evals.regex("Hello")],
            journal=tmp_path / "run.jsonl",
            progress="none",
            concurrency=2,
            judge_check=0,
        )

    with largest_file(60_000):
        stopped = run()
    assert stopped.stopped is not None
    assert stopped.stopped.code == "evals.journal.full"
    assert 0 < len(stopped.ledger.answers) < 6
    done = run()
    assert done.is_finished
    assert done.ledger.damaged == 0


def test_traces_in_a_file_are_whole_lines(tmp_path: Path) -> None:
    """A batch of which the disk took a part is cut off again and waits."""
    path = tmp_path / "traces.jsonl"
    sink = JsonlSink(path)
    records = make_records(3)
    assert isinstance(sink.deliver(records[:1], timeout_s=1.0), Accepted)
    kept = path.read_bytes()
    with largest_file(len(kept) + 100):
        assert isinstance(sink.deliver(records[1:], timeout_s=1.0), Unavailable)
    assert path.read_bytes() == kept
    assert isinstance(sink.deliver(records[1:], timeout_s=1.0), Accepted)
    assert len(path.read_bytes().splitlines()) == 3
    sink.close()
