"""`dealquest transcribe`, as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dealquest.testing import AssemblyAIServer, JobScript

VOICE = Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg"


@pytest.fixture
def server() -> Iterator[AssemblyAIServer]:
    with AssemblyAIServer() as server:
        yield server
        assert server.violations == []


def run(server: AssemblyAIServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONWARNINGS"} or name.startswith("COVERAGE_")}
    environ = {**kept, "ASSEMBLYAI_API_KEY": server.key, "ASSEMBLYAI_BASE_URL": server.base_url}
    command = [sys.executable, "-c", "from dealquest.cli import main; main()", "transcribe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environ)


def test_a_file_becomes_text_subtitles_or_json(server: AssemblyAIServer) -> None:
    """The transcript goes to standard output in the chosen form, and nothing else does."""
    assert run(server, str(VOICE)).stdout == "We could start next week.\n"
    assert run(server, str(VOICE), "--srt").stdout.startswith("1\n00:00:00,000 --> ")
    assert run(server, str(VOICE), "--vtt").stdout.startswith("WEBVTT\n")
    found = msgspec.json.decode(run(server, str(VOICE), "--json", "--language", "en", "--language", "ru", "--speakers").stdout)
    assert (found["language"], found["words"][0]["speaker"]) == ("en", "A")


def test_one_bad_file_does_not_stop_the_others(server: AssemblyAIServer, tmp_path: Path) -> None:
    """Each failure is one clear line, the good files are done, and the exit code says that not all was well."""
    bad = tmp_path / "page.html"
    bad.write_text("<html>")
    done = run(server, str(bad), str(tmp_path / "gone.ogg"), str(VOICE))
    assert done.returncode == 1
    assert done.stdout == f"{VOICE}: We could start next week.\n"
    assert "page.html: This is no sound that we know" in done.stderr
    assert "gone.ogg: Cannot read" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_transcripts_become_files_in_a_folder(server: AssemblyAIServer, tmp_path: Path) -> None:
    """Subtitles of several files need a folder, and get their names from the sounds."""
    other = tmp_path / "other.ogg"
    other.write_bytes(VOICE.read_bytes())
    assert run(server, str(VOICE), str(other), "--vtt").returncode == 1
    done = run(server, str(VOICE), str(other), "--vtt", "--into", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    assert {path.name for path in tmp_path.glob("*.vtt")} == {"voice.vtt", "other.vtt"}


def test_what_took_too_long_is_resumed(server: AssemblyAIServer) -> None:
    """The deadline's line says how to go on, and that works."""
    server.script = JobScript(processing_s=3.0)
    late = run(server, str(VOICE), "--deadline-s", "2")
    assert late.returncode == 1
    transcript_id = late.stderr.rpartition("--resume ")[2].strip()
    assert run(server, "--resume", transcript_id).stdout == "We could start next week.\n"
    assert len(server.jobs) == 1


def test_silence_and_nonsense_are_said_plainly(server: AssemblyAIServer) -> None:
    """Nobody speaking is no failure; impossible options are one line."""
    server.script = JobScript(text="")
    silent = run(server, str(VOICE))
    assert (silent.returncode, silent.stdout) == (0, "")
    assert "nobody speaks in it" in silent.stderr
    for arguments in ((), (str(VOICE), "--srt", "--vtt")):
        wrong = run(server, *arguments)
        assert wrong.returncode == 1
        assert "Traceback" not in wrong.stderr


def test_two_sounds_of_one_name_do_not_overwrite_each_other(server: AssemblyAIServer, tmp_path: Path) -> None:
    """Their transcripts would be one file, so nothing is sent and nothing is billed."""
    twin = tmp_path / "voice.oga"
    twin.write_bytes(VOICE.read_bytes())
    refused = run(server, str(VOICE), str(twin), "--into", str(tmp_path))
    assert refused.returncode == 1
    assert "called voice" in refused.stderr
    assert server.jobs == {}


def test_a_transcript_that_cannot_be_written_is_not_lost(server: AssemblyAIServer, tmp_path: Path) -> None:
    """One line says why and how to fetch it again; the next file is done all the same."""
    other = tmp_path / "other.ogg"
    other.write_bytes(VOICE.read_bytes())
    (tmp_path / "voice.txt").mkdir()
    done = run(server, str(VOICE), str(other), "--into", str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"--resume {next(iter(server.jobs))}" in done.stderr
    assert (tmp_path / "other.txt").read_text("utf-8") == "We could start next week.\n"
