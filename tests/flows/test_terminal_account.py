"""The terminal beyond the lessons: files by path, documents, keys on screen, and one's own data."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dealquest.cli.chat import _meaning
from dealquest.cli.local_media import LocalMedia
from dealquest.coach.dialogue import Button
from dealquest.errors import InputError, LimitError, NotFoundError

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


def run(home: Path, lines: str) -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    return subprocess.run(
        [sys.executable, "-m", "dealquest", "chat", "--plain", "--name", "ann"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**clean, "DEALQUEST_HOME": str(home)},
    )


def test_export_saves_a_file_and_delete_forgets_everything(home: Path) -> None:
    """The export lands in the data folder for its owner alone; after the deletion the next start knows nobody."""
    done = run(home, "/train easy\nWhat does it cost you? Let us talk on Friday at 9.\n/settings\nExport my data\n/admin\nTeam\n")
    found = re.search(r"Saved as (.+\.json)", done.stdout)
    assert found is not None, done.stdout
    saved = Path(found[1])
    assert saved.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(saved.read_text())["attempts"]) == 1
    assert "People: 1" in done.stdout
    gone = run(home, "/settings\nDelete everything\nYes, delete everything\n").stdout
    assert "scored answers: 1" in gone
    assert "Everything is deleted" in gone
    assert "Welcome to dealquest" in run(home, "").stdout


def test_a_key_and_files_in_the_chat(home: Path, tmp_path: Path) -> None:
    """A pasted key is no answer and the screen says so; a missing file is named; a photo arrives as a photo."""
    picture = tmp_path / "a picture.png"
    picture.write_bytes(PNG)
    done = run(home, f"/train easy\nsk-or-v1-0123456789abcdef\n/photo {tmp_path}/none.png\n/photo '{picture}' a deal\n/voice\n/help\n")
    assert done.returncode == 0
    assert "looks like an API key" in done.stdout
    assert "delete it yourself" in done.stdout
    assert "There is no file" in done.stdout
    assert "I can read text only" in done.stdout
    assert "/settings your model" in done.stdout
    assert "Here also: /photo PATH" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_path_and_its_caption(tmp_path: Path) -> None:
    """Quotes hold blanks together; what follows is the caption; folders and devices are no files."""
    picture = tmp_path / "a b.png"
    picture.write_bytes(PNG)
    meant = _meaning(f'/photo "{picture}" Anna\'s profile, "CFO"', [])
    assert (meant.kind, meant.text, meant.media) == ("photo", 'Anna\'s profile, "CFO"', {"path": str(picture)})
    assert _meaning("2", [Button("a", "x"), Button("b", "y")]).text == "y"
    for line in (f"/photo {tmp_path}", "/voice /dev/zero", "/photo"):
        with pytest.raises(InputError):
            _meaning(line, [])
    with pytest.raises(NotFoundError):
        _meaning("/photo 'unclosed \x00", [])


async def test_b6_files_are_checked_while_they_are_read(tmp_path: Path) -> None:
    """A file that is too large, no picture, or gone is a clear error, by its bytes and not by its name."""
    media, path = LocalMedia(), tmp_path / "x.png"
    path.write_bytes(PNG)
    assert (await media.fetch({"path": str(path)}, max_bytes=100)).media_type == "image/png"
    with pytest.raises(LimitError):
        await media.fetch({"path": str(path)}, max_bytes=10)
    path.write_bytes(b"#!/bin/sh")
    with pytest.raises(InputError):
        await media.fetch({"path": str(path)}, max_bytes=100)
    path.unlink()
    with pytest.raises(NotFoundError):
        _ = [chunk async for chunk in media.stream({"path": str(path)})]
