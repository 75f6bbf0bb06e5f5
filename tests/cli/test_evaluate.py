"""`dealquest eval`: exit codes and files that a pipeline stands on."""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dealquest import evals
from dealquest.cli import main


def call(*words: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two cases with recorded answers, one of them wrong."""
    path = tmp_path / "suite.csv"
    path.write_text("id,input,reference,answer\na,Say yes.,yes,Yes\nb,Say no.,no,perhaps\n")
    return path


def test_a_run_that_is_good_enough_ends_with_zero(tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is printed, the journal named, the report written."""
    code = call("eval", suite, "--recorded", "--journal", tmp_path / "run.jsonl", "--min-score", "40", "--junit", tmp_path / "report.xml")
    assert code == 0
    out = capsys.readouterr().out
    assert "recorded" in out
    assert "run.jsonl" in out
    assert "[" in out
    report = ET.parse(tmp_path / "report.xml").getroot()[0]
    assert report.attrib == {"name": "suite", "tests": "2", "failures": "1", "errors": "0"}
    assert [(test.get("name"), len(test)) for test in report] == [("a", 0), ("b", 1)]


def test_a_mark_that_is_missed_ends_with_two(tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is on the error stream."""
    assert call("eval", suite, "--recorded", "--journal", tmp_path / "run.jsonl", "--min-score", "60") == 2
    assert "not good enough: recorded: 50.0 points, 60 are wanted" in capsys.readouterr().err
    assert call("eval", "resume", tmp_path / "run.jsonl", "--min-score", "50") == 0
    assert call("eval", "resume", tmp_path / "run.jsonl", "--min-score", "50", "--surely") == 2


def test_bad_input_ends_with_one_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A duplicate id is said in a line, without a traceback."""
    path = tmp_path / "suite.csv"
    path.write_text("id,input\na,x\na,y\n")
    assert call("eval", path, "--recorded") == 1
    assert capsys.readouterr().err.startswith("dealquest: the suite 'suite' has 1 duplicate ids")
    assert call("eval", "show", tmp_path / "none.jsonl") == 1
    assert call("eval", "no-such-suite", "--recorded") == 1


def test_the_plan_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """`--plan` says calls, money and what could be seen, and asks nobody."""
    assert call("eval", "foundations", "--model", "openai/gpt-oss-120b", "--judge", "moonshotai/kimi-k2.5", "--plan") == 0
    out = capsys.readouterr().out
    assert "6 x openai/gpt-oss-120b, 36 x moonshotai/kimi-k2.5" in out
    assert "smallest difference" in out


def test_a_run_is_shown_exported_and_labelled(
    tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything after the run needs the journal only."""
    import io

    journal = tmp_path / "run.jsonl"
    assert call("eval", suite, "--recorded", "--journal", journal) == 0
    assert call("eval", "show", journal, "--compare", "--judges") == 0
    assert call("eval", "show", journal, "--case", "a") == 0
    assert "exact: 100 points" in capsys.readouterr().out
    for name in ("rows.csv", "rows.parquet", "report.xml", "picture.png"):
        assert call("eval", "export", journal, tmp_path / name) == 0
        assert (tmp_path / name).stat().st_size > 100
    assert call("eval", "export", journal, tmp_path / "rows.docx") == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("80\nmany\n300\n20\n"))
    assert call("eval", "label", journal, "--by", "anna") == 0
    assert sorted(label.points for label in evals.read(journal).ledger.labels.values()) == [20, 80]


def test_b5_a_models_words_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in an answer or a name are shown without their power."""
    suite = tmp_path / "suite.jsonl"
    suite.write_text(r'{"id": "a", "input": "x", "reference": "y", "answer": "\u001b[2Jgone \u202e"}' + "\n")
    assert call("eval", suite, "--recorded", "--journal", tmp_path / "run.jsonl") == 0
    assert call("eval", "show", tmp_path / "run.jsonl", "--case", "a") == 0
    out = capsys.readouterr().out
    assert "[2Jgone" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_control_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    """The journal stays readable and the command to go on is printed."""
    journal = tmp_path / "run.jsonl"
    command = [
        sys.executable,
        "-m",
        "dealquest",
        "eval",
        "en",
        "--coach",
        "--repeats",
        "60",
        "--judge-check",
        "0",
        "--journal",
        str(journal),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        deadline = time.monotonic() + 60
        while (journal.stat().st_size if journal.exists() else 0) < 400_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "dealquest eval resume" in said
    run = evals.read(journal)
    assert run.stopped is not None
    assert 0 < len(run.ledger.answers) < run.size
