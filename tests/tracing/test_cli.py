"""`dealquest traces` in a terminal, offline: from a file, from a spool, from the embedded database."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from dealquest.testing import capture_traces
from dealquest.testing.trace_sinks import MoodySink, away
from dealquest.tracing import Collector, JsonlSink, Limits, Tracer, installed_tracer, llm_span, span, trace
from dealquest.values import Usage

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Run the command; its output."""

    def run(*arguments: object, code: int = 0, **environ: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dealquest", "traces", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **environ},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three runs in a JSONL file; one failed, one has a model call."""
    path = tmp_path / "traces.jsonl"
    sink = JsonlSink(path)
    with capture_traces() as traces:
        with trace("train"), llm_span("m-1", provider="p") as call:
            call.record_usage(Usage(input_tokens=1200, output_tokens=34), cost_usd=Decimal("0.0021"))
        with trace("train"), span("evil \x1b[2J name"):
            pass
        with pytest.raises(ValueError, match="x"), trace("support"):
            raise ValueError("x")
    sink.deliver(traces.records, timeout_s=1.0)
    sink.close()
    return path


def test_list_show_and_stats_from_a_file(run: Run, file: Path) -> None:
    """Runs, trees and figures with tokens and cost, and no control character reaches the terminal."""
    listed = run("list", "--source", file)
    assert "1,200 → 34" in listed
    assert "$0.002100" in listed
    assert "support" not in run("list", "--source", file, "--pipeline", "train")
    ids = re.findall(r"\b[0-9a-f]{32}\b", listed)
    assert len(ids) == 3
    shown = [run("show", one, "--source", file) for one in ids]
    assert any("chat m-1" in text and "1,200 → 34 tokens · $0.002100" in text for text in shown)
    assert any("ValueError: x" in text for text in shown)
    assert not any("\x1b" in text for text in shown)
    counted = run("stats", "--source", file)
    assert re.search(r"train +2 +0", counted)
    assert re.search(r"support +1 +1", counted)


def test_export_writes_lines_and_pages(run: Run, file: Path, tmp_path: Path) -> None:
    """An export reads back as it was; a page is one self-contained file; nothing is overwritten."""
    copy, page = tmp_path / "copy.jsonl", tmp_path / "run.html"
    run("export", copy, "--source", file)
    assert sorted(run("list", "--source", copy).split()) == sorted(run("list", "--source", file).split())
    one = re.findall(r"\b[0-9a-f]{32}\b", run("list", "--source", file))[0]
    run("export", page, "--source", file, "--trace", one)
    assert "<svg" in page.read_text("utf-8")
    assert "cannot be written" in run("export", copy, "--source", file, code=1)
    assert "name it with --trace" in run("export", tmp_path / "all.html", "--source", file, code=1)


def test_tail_follows_the_spool_of_a_living_process(run: Run, tmp_path: Path) -> None:
    """What a process spools now is printed once each."""
    spool = tmp_path / "home" / "traces"
    sink = MoodySink(mood=away)
    limits = Limits(export_interval_s=0.02, tick_s=0.005)
    with Collector([sink], spool=spool, limits=limits) as collector, installed_tracer(Tracer(collector)):
        with trace("train"), span("score"):
            pass
        collector.flush(0.05)
        text = run("tail", "--seconds", "0.8", DEALQUEST_HOME=str(tmp_path / "home"))
        sink.mood = None
    assert text.count("score") == 1
    assert "began" in text
    assert "ended ok" in text


def test_what_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    """A wrong file or id is one clear line."""
    assert "No spool folder and no JSONL file" in run("list", "--source", tmp_path / "none.jsonl", code=1)
    assert "No dead letters" in run("replay", DEALQUEST_HOME=str(tmp_path), code=1)


def test_the_database_lists_what_replay_sent(run: Run, home: Path, file: Path) -> None:
    """Dead letters go to the embedded database by `replay`, `list` and `show` find them there, and the file is gone."""
    letters = home / "traces" / "dead-postgrest.jsonl"
    letters.parent.mkdir(parents=True)
    letters.write_bytes(file.read_bytes())
    assert "11 rows accepted, 0 refused again" in run("replay", DEALQUEST_HOME=str(home))
    assert not list(letters.parent.glob("dead-*"))
    listed = run("list", DEALQUEST_HOME=str(home))
    ids = re.findall(r"\b[0-9a-f]{32}\b", listed)
    assert len(ids) == 3
    assert "ok" in run("show", ids[-1], DEALQUEST_HOME=str(home))
    assert "no whole trace id" in run("show", "abc", DEALQUEST_HOME=str(home), code=1)
