"""The journal: whole lines, one writer, nothing finished is lost by a kill."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest import evals
from dealquest.errors import ConflictError, InputError, NotFoundError
from dealquest.evals.journal import Journal, decode_line, encode_lines, read_lines
from dealquest.evals.journal_lines import AnswerLine, Call, EndLine, Failure, LabelLine, ManifestLine, ScoreLine

SUITE = evals.load("foundations")


def manifest() -> ManifestLine:
    return ManifestLine(
        name="run", started_at=datetime(2026, 11, 22, tzinfo=UTC), suite={}, subjects={}, scorers={}, repeats=1, seed=0, judge_check=0,
        versions={}, prices={}, digest="d",
    )  # fmt: skip


texts = st.text(st.characters(exclude_categories=["Cs"]))
answers = st.builds(
    AnswerLine,
    key=texts,
    case=texts,
    subject=texts,
    repeat=st.integers(0, 9),
    text=texts,
    turns=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    calls=st.lists(st.builds(Call, model=texts, cost_usd=st.none() | st.decimals(0, 9, places=6)), max_size=2).map(tuple),
    failure=st.none() | st.builds(Failure, code=texts, message=texts),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, max_size=4))
def test_lines_come_back_as_they_were_written(lines: list[AnswerLine]) -> None:
    """What is encoded is decoded to the same values, a line each."""
    data = encode_lines(*lines)
    assert [decode_line(line) for line in data.split(b"\n")[:-1]] == lines
    assert data.count(b"\n") == len(lines)


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, min_size=1, max_size=4), st.integers(1, 200))
def test_a_torn_last_line_is_passed_over_and_cut_off(tmp_path_factory: pytest.TempPathFactory, lines: list[AnswerLine], torn: int) -> None:
    """Whatever part of the last line was written, the lines before it stand and the next writer goes on after them."""
    path = tmp_path_factory.mktemp("journal") / "run.jsonl"
    whole = encode_lines(manifest(), *lines)
    path.write_bytes(whole + encode_lines(*lines)[:torn].rstrip(b"\n").split(b"\n")[0])
    assert list(read_lines(path))[1:] == lines
    with Journal(path) as journal:
        journal.write(*lines)
    assert path.read_bytes() == whole + encode_lines(*lines)


def test_a_damaged_line_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    """One bad line costs one line, and the run says so."""
    path = tmp_path / "run.jsonl"
    line = AnswerLine(key="k", case="c", subject="s", text="t")
    path.write_bytes(encode_lines(manifest()) + b'{"t": "answer", "key": 7}\n\xff\xfe\n' + encode_lines(line))
    run = evals.read(path)
    assert run.ledger.damaged == 2
    assert run.ledger.answers == {"k": line}


@pytest.mark.parametrize("content", [b"", b"\n", b'{"t": "answer"}\n', b"plain text\n", b'{"t":"manifest"'])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    """It must begin with a manifest."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        evals.read(path)
    assert caught.value.code == "evals.journal.invalid"
    with pytest.raises(NotFoundError):
        evals.read(tmp_path / "none.jsonl")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer is refused while the first one is at work, readers are not."""
    path = tmp_path / "deep" / "run.jsonl"
    with Journal(path) as journal:
        journal.write(manifest())
        with pytest.raises(ConflictError) as caught:
            Journal(path)
        assert caught.value.code == "evals.journal.busy"
        assert len(list(read_lines(path))) == 1
    Journal(path).close()


def test_a_folder_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    """What cannot be opened says so before anything is asked."""
    with pytest.raises(InputError) as caught:
        Journal(tmp_path)
    assert caught.value.code == "evals.journal.unwritable"


def test_a_full_disk_ends_the_run_with_whole_lines(tmp_path: Path) -> None:
    """What is on disk stays readable; the run says why it stopped and how much is missing, and resuming completes it."""
    journal = tmp_path / "run.jsonl"
    # A limit on the size of files stands for the full disk: the kernel refuses the write in the middle of a line.
    script = f"""
import resource, signal, sys
from dealquest import evals
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
async def wordy(case): return "Hello? " * 2000
run = evals.run_sync("foundations", subjects=[evals.subject(wordy, version="1")], scorers=[evals.regex("Hello")], journal={str(journal)!r},
                     progress="none", concurrency=2, judge_check=0)
print(run.stopped.code, len(run.ledger.answers), run.gate(min_score=1).reasons[0])
"""
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("evals.journal.full")
    assert "the run is not finished" in done.stdout
    kept = evals.read(journal)
    assert 0 < len(kept.ledger.answers) < 6
    assert kept.ledger.damaged == 0
    assert journal.read_bytes().endswith(b"\n")
    assert kept.table()[0].points.missing == 6 - kept.table()[0].points.n


def test_kill_minus_nine_loses_the_calls_in_flight_only(tmp_path: Path) -> None:
    """After a kill at half-way the resumed run asks again for no more than was under way, and ends with every answer once."""
    journal, asked = tmp_path / "run.jsonl", tmp_path / "asked"
    script = f"""
import os, sys, anyio
from dealquest import evals
asked = os.open({str(asked)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
async def slow(case):
    os.write(asked, b"x")
    await anyio.sleep(0.02)
    return "Hello"
subjects = [evals.subject(slow, version="1")]
if len(sys.argv) > 1:
    run = evals.resume_sync({str(journal)!r}, subjects=subjects, progress="none", concurrency=8)
else:
    run = evals.run_sync("en", subjects=subjects, scorers=[evals.regex("Hello")], repeats=6, journal={str(journal)!r}, progress="none",
                         concurrency=8, judge_check=0)
print(run.is_finished, len(run.ledger.answers), len(run.ledger.scores))
"""
    file = tmp_path / "script.py"
    file.write_text(script)
    total = 52 * 6
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE) as victim:
        deadline = time.monotonic() + 60
        while (asked.stat().st_size if asked.exists() else 0) < total // 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(victim.pid, signal.SIGKILL)
    finished = len(evals.read(journal).ledger.answers)
    in_flight = asked.stat().st_size - finished
    assert 0 <= in_flight <= 8
    done = subprocess.run([sys.executable, str(file), "resume"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(total), str(total)]
    assert asked.stat().st_size == total + in_flight


def test_a_line_about_the_same_thing_takes_the_older_ones_place(tmp_path: Path) -> None:
    """Labels and repeated scores are corrected by writing again; costs of both count."""
    from decimal import Decimal

    path = tmp_path / "run.jsonl"
    at = datetime(2026, 11, 22, tzinfo=UTC)
    paid = (Call(model="j", cost_usd=Decimal("0.5")),)
    with Journal(path, sync_s=0) as journal:
        journal.write(manifest(), ScoreLine(key="k", scorer="s", points=1.0, calls=paid), LabelLine(key="k", by="anna", points=10, at=at))
        journal.write(ScoreLine(key="k", scorer="s", points=2.0, calls=paid), LabelLine(key="k", by="anna", points=20, at=at))
        journal.write(EndLine(at=at, wall_s=1, finished=1, left=0))
    ledger = evals.read(path).ledger
    assert ledger.scores["k", "s"].points == 2.0
    assert ledger.labels["k", "anna"].points == 20
    assert ledger.spent_usd == Decimal("1.0")
