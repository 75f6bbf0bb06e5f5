"""Commands called in rarer ways: packs with and without faults, traces of nothing, several sounds, output that breaks."""

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dealquest.cli import main
from dealquest.testing import AssemblyAIServer, capture_traces
from dealquest.tracing import JsonlSink, span, trace

ROOT = Path(__file__).parents[2]
PACKS = ROOT / "src/dealquest/coach/packs/en"
VOICE = ROOT / "tests/samples/speech/voice.ogg"
Call = Callable[..., int]


def test_a_pack_is_checked_before_it_is_used(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every fault has a line and makes the exit code 1; a sound file is said to be one."""
    sound, broken = tmp_path / "sound.toml", tmp_path / "broken.toml"
    words = (PACKS / "practice_value.toml").read_text(encoding="utf-8")
    sound.write_text(words, encoding="utf-8")
    assert call("scenarios", "check", sound) == 0
    assert capsys.readouterr().out == f"{sound}: no faults\n"
    broken.write_text(words.replace("difficulty = 1", "difficulty = 5"), encoding="utf-8")
    assert call("scenarios", "check", broken) == 1
    said = capsys.readouterr().out
    assert "difficulty: 5 is outside 1 to 3" in said
    assert "no faults" not in said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two runs in a JSONL file; of the second only the spans are there, as where a spool was cut."""
    path = tmp_path / "traces.jsonl"
    sink = JsonlSink(path)
    with capture_traces() as traces:
        with trace("train"), span("score"):
            pass
        whole = len(traces.records)
        with trace("support"), span("strategy"):
            pass
    sink.deliver([record for number, record in enumerate(traces.records) if number < whole or record.kind == "s"], timeout_s=1.0)
    sink.close()
    return path


def test_no_runs_are_said(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a run is no empty table."""
    nothing = tmp_path / "nothing.jsonl"
    nothing.touch()
    for command in ("list", "stats"):
        assert call("traces", command, "--source", nothing) == 0
        assert capsys.readouterr().out == "no traces\n"


def test_an_export_has_what_is_left_of_a_run(call: Call, file: Path, tmp_path: Path) -> None:
    """Spans without their run's own row are written all the same, and no row is made up for them."""
    copy = tmp_path / "copy.jsonl"
    assert call("traces", "export", copy, "--source", file) == 0
    rows = [msgspec.json.decode(line) for line in copy.read_text().splitlines()]
    assert sorted(row["row"]["span_name"] for row in rows if row["kind"] == "s") == ["score", "strategy", "support", "train"]
    assert [row["row"]["pipeline_name"] for row in rows if row["kind"] != "s"] == ["train"]


def test_what_the_database_refuses_again_stays_a_dead_letter(
    call: Call, file: Path, tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`replay` sends what can be sent and keeps the rest in the file; what it sent can be exported from the database."""
    letters, copy = tmp_path / "dead.jsonl", tmp_path / "copy.jsonl"
    found = file.read_bytes().splitlines()
    lines = [line for line in found if b"strategy" not in line and b"support" not in line]
    refused = next(line for line in found if b'"strategy"' in line).replace(b'"span_name":"strategy"', b'"span_name":null')
    letters.write_bytes(b"\n".join([*lines, refused]) + b"\n")
    assert call("traces", "replay", letters, DATABASE_URL=database_url) == 0
    assert "1 refused again" in capsys.readouterr().out
    assert [msgspec.json.decode(line)["reason"] for line in letters.read_text().splitlines()] == ["refused again"]
    assert call("traces", "export", copy) == 0
    assert "1 runs in" in capsys.readouterr().out
    assert '"score"' in copy.read_text()


def test_several_sounds_are_a_line_of_json_each(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line says of which file it is; a folder that is not there is said before anything is sent."""
    with AssemblyAIServer() as server:
        places = {"ASSEMBLYAI_API_KEY": server.key, "ASSEMBLYAI_BASE_URL": server.base_url}
        assert call("transcribe", VOICE, VOICE, "--json", **places) == 0
        rows = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
        assert [(row["file"], row["text"]) for row in rows] == [(str(VOICE), "We could start next week.")] * 2
        assert call("transcribe", VOICE, "--into", tmp_path / "none") == 1
        assert "is no folder" in capsys.readouterr().err


def test_a_database_that_is_away_is_one_line(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    """`db rest` ends with what to look at, and never with the password."""
    assert call("db", "rest", "--db-uri", "postgresql://ann:hunter2@127.0.0.1:9/none") == 1
    said = capsys.readouterr().err
    assert said.startswith("dealquest: ")
    assert "hunter2" not in said


def test_output_that_breaks_for_an_unknown_reason_is_no_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expects keeps its traceback, so that it can be reported."""

    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdout", Broken())
    with pytest.raises(OSError, match="Input/output error"):
        main(["keys", "generate"])
