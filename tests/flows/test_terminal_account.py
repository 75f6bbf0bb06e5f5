"""The terminal beyond the lessons: files by path, documents, keys on screen, and one's own data."""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path
from typing import Self

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
    with pytest.raises(InputError, match="no button 3 here"):
        _meaning("3", [Button("a", "x"), Button("b", "y")])
    assert _meaning("3", []).kind == _meaning("100", [Button("a", "x")]).kind == "text"
    for line in (f"/photo {tmp_path}", "/voice /dev/zero", "/photo"):
        with pytest.raises(InputError):
            _meaning(line, [])
    with pytest.raises(NotFoundError):
        _meaning("/photo 'unclosed \x00", [])
    with pytest.raises(NotFoundError):
        _meaning("/photo ~nobody-of-that-name/x.png", [])


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


def test_jobs_are_done_between_lines(home: Path) -> None:
    """What an answer leaves to be done later is done before the next line of a pipe: the memory knows the answer."""
    done = run(home, "/train easy\nWhat does it cost you each month? Let us talk on Friday at 9.\n/memory\n")
    assert "What I remember of you" in done.stdout


def test_jobs_are_done_while_a_person_thinks(home: Path) -> None:
    """At a terminal jobs run without another line; ^D, ^C and SIGTERM end it cleanly."""
    with Screen(home) as screen:
        screen.waits_for("[2]")
        screen.types("/train easy", until="Answer as you would")
        screen.types("What does it cost you each month? Let us talk on Friday at 9.", until="of 100")
        time.sleep(2.5)
        screen.types("/memory", until="interactions: 1")
        assert screen.ends(b"\x04") == 0
    for ending in (b"\x03", signal.SIGTERM):
        with Screen(home) as screen:
            screen.waits_for("Good to see you again")
            assert screen.ends(ending) == 0
            assert "Traceback" not in screen.seen


class Screen:
    """A chat behind a pseudo-terminal."""

    def __init__(self, home: Path) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
        self._master, slave = os.openpty()
        command = [sys.executable, "-m", "dealquest", "chat", "--plain", "--name", "ann"]
        environment = {**clean, "DEALQUEST_HOME": str(home)}
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
                                         preexec_fn=partial(_take_terminal, slave))  # fmt: skip  # noqa: PLW1509  # no threads run yet
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        os.close(self._master)

    def types(self, line: str, *, until: str) -> None:
        time.sleep(0.5)  # until the line editor is back; what comes at once counts as pasted
        self.seen = ""
        os.write(self._master, line.encode() + b"\n")
        self.waits_for(until)

    def waits_for(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self._read(0.2)

    def ends(self, how: "bytes | signal.Signals") -> int:
        time.sleep(0.5)
        if isinstance(how, bytes):
            os.write(self._master, how)
        else:
            self._process.send_signal(how)
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        return self._process.wait(1)

    def _read(self, timeout_s: float) -> None:
        if select.select([self._master], [], [], timeout_s)[0]:
            with contextlib.suppress(OSError):  # the other end is gone
                self.seen += os.read(self._master, 65536).decode(errors="replace")


def _take_terminal(slave: int) -> None:
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
