"""`dealquest chat` in this process: what is typed, while the store fails, a folder is taken, or another window is quicker."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import psycopg
import pytest
from psycopg import sql

from dealquest.coach import Turns
from dealquest.coach.dialogue import Event, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import SERVICE

Talk = Callable[..., str]
ANSWER = "What does it cost you each month? Let us talk on Friday at 9."
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


class Typed:
    """Standard input as a pipe: lines, and between them what happens meanwhile."""

    def __init__(self, *steps: str | Callable[[], object]) -> None:
        self._steps = steps

    def isatty(self) -> bool:
        return False

    @property
    def buffer(self) -> Iterator[bytes]:
        for step in self._steps:
            if isinstance(step, str):
                yield f"{step}\n".encode()
            else:
                step()


@pytest.fixture
def talk(call: Callable[..., int], database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """Run a chat of Ann's to the end of these steps; what stood on the screen."""

    def run(*steps: str | Callable[[], object], code: int = 0, name: str | None = "ann", **environ: str) -> str:
        monkeypatch.setattr("sys.stdin", Typed(*steps))
        named = () if name is None else ("--name", name)
        assert call("chat", "--plain", *named, DATABASE_URL=database_url, **environ) == code
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run


@pytest.fixture
def owner(database_url: str) -> Iterator["psycopg.Connection"]:
    """The database's owner, who can take things away."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _without(owner: "psycopg.Connection", function: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two steps: the store may not call this function any more, and may again."""

    def each(statement: str) -> Callable[[], None]:
        def change() -> None:
            found = owner.execute("select oid::regprocedure::text from pg_proc where proname = %s", (function,)).fetchall()
            assert found
            for (signature,) in found:
                owner.execute(sql.SQL(statement).format(sql.SQL(signature)))  # type: ignore[arg-type]  # ours, below

        return change

    return (
        each("revoke execute on function {} from public, anon, authenticated, project_admin"),
        each("grant execute on function {} to project_admin"),
    )


def test_what_cannot_be_stored_stays_in_the_window(talk: Talk, owner: "psycopg.Connection") -> None:
    """A line that the store refuses is kept, says so, and is answered with the next one; nothing is asked twice of the user."""
    refuse, allow = _without(owner, "receive_updates")
    seen = talk(refuse, "/stats", allow, "/help")
    assert "Your line is kept in this window" in seen
    before, after = seen.split("> /help", 1)
    assert "XP to level" not in before
    assert "XP to level" in after
    assert "What you can do" in after


def test_what_is_stored_is_answered_when_the_store_works_again(talk: Talk, owner: "psycopg.Connection") -> None:
    """Where the turn itself fails the line says that it is stored, and the next start answers it first."""
    refuse, allow = _without(owner, "take_update")
    seen = talk(refuse, "/stats")
    assert "Your line is stored; its answer follows" in seen
    assert "XP to level" not in seen
    allow()
    again = talk("/help")
    assert again.index("XP to level") < again.index("What you can do")


def test_replies_that_cannot_be_marked_are_shown_all_the_same(talk: Talk, owner: "psycopg.Connection") -> None:
    """The screen has the reply, and a word on what failed; the chat goes on."""
    refuse, allow = _without(owner, "mark_sent")
    seen = talk(refuse, "/stats", allow, "/help")
    assert "XP to level" in seen
    assert "What you can do" in seen


def test_an_export_never_replaces_an_earlier_one(talk: Talk, tmp_path: Path) -> None:
    """The second file of a name gets a number, and both are the owner's alone."""
    seen = talk("/train easy", ANSWER, "/settings", "Export my data", "/settings", "Export my data")
    saved = sorted((tmp_path / "documents").iterdir())
    assert len(saved) == 2, seen
    assert saved[0].stem.endswith("-2") or saved[1].stem.endswith("-2")
    assert {path.stat().st_mode & 0o777 for path in saved} == {0o600}


def test_a_folder_that_cannot_be_made_is_named(talk: Talk, tmp_path: Path) -> None:
    """Where the documents' folder is a file, the screen says what is not saved and where, and the chat goes on."""
    (tmp_path / "documents").write_text("in the way")
    seen = talk("/settings", "Export my data", "/help")
    assert "cannot be saved in" in seen
    assert "What you can do" in seen


def test_files_go_by_their_paths(talk: Talk, tmp_path: Path) -> None:
    """A picture and a recording are read from their paths; a path that leads nowhere, or none, is said and costs no turn."""
    picture, sound = tmp_path / "a deal.png", tmp_path / "pitch.ogg"
    picture.write_bytes(PNG)
    sound.write_bytes(b"OggS" + b"\x00" * 40)
    seen = talk("/train easy", f"/photo '{picture}' our deal", f"/voice {sound}", "/voice", f"/photo {tmp_path}/none.png", "9", "/help")
    assert "a recording on this machine." in seen
    assert "There is no file" in seen
    assert "I can read text only" in seen
    assert "Here also: /photo PATH" in seen.split("> /help", 1)[1]


def test_buttons_are_pressed_by_number_and_by_label(talk: Talk) -> None:
    """What no button has is refused with the numbers there are; a label works in any case."""
    seen = talk("/train", "9", "hArD", ANSWER)
    assert "There is no button 9 here: they go from 1 to" in seen
    assert "of 100" in seen
    assert "of 100" in talk("/train", "2", ANSWER)


def test_a_key_on_the_screen_is_said(talk: Talk) -> None:
    """Nobody can take back what stands on a screen, so the user is told to."""
    assert "delete it yourself" in talk("/train easy", "sk-or-v1-0123456789abcdef")


def test_the_accounts_own_name_practises(talk: Talk, owner: "psycopg.Connection", monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--name` it is the account's; an account without one, as some containers have, is `you`."""
    monkeypatch.setenv("LOGNAME", "zoe")
    talk("/help", name=None)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    talk("/help", name=None)
    assert sorted(owner.execute("select distinct chat from inbox where not is_job").fetchall()) == [("you",), ("zoe",)]


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "x" * 65], ids=["empty", "blank", "tabulator", "too long"])
def test_a_name_is_short_and_printable(talk: Talk, name: str) -> None:
    """Anything else is refused before a database is opened."""
    assert "--name takes 1 to 64 printable characters" in talk(name=name, code=1)


@pytest.mark.parametrize("stream", ["sys.stdin", "sys.stdout"])
def test_closed_streams_are_said(call: Callable[..., int], monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """Without input or output there is no chat, and no traceback either."""
    monkeypatch.setattr(stream, None)
    assert call("chat") == 1


def _someone(database: Any, use: Callable[[Turns], object]) -> None:
    """Another window of the same person, which dies or is quicker."""

    async def work() -> None:
        async with await Engine.open(database.login_dsn, EngineConfig(db_pool=2)) as engine:
            turns = Turns(Postgrest(engine.bind(SERVICE)), effects=Effects(packs=lambda _: load_pack("en")), worker="another")
            await use(turns)  # type: ignore[misc]  # a coroutine function each time

    anyio.run(work)


def test_what_a_dead_window_left_is_answered_at_the_start(talk: Talk, database: Any) -> None:
    """A stored line that nobody finished has its answer before anything is typed."""

    async def leave(turns: Turns) -> None:
        event = Event(
            source="terminal", chat="ann", update_id=1, user=Person(local_name="ann", first_name="ann"), kind="text", text="/help"
        )
        assert await turns.receive([event]) == 1

    _someone(database, leave)
    assert "What you can do" in talk()


@attrs.define
class Terminal:
    """A pseudo-terminal in the place of standard input."""

    master: int
    slave: int

    def types(self, text: bytes) -> None:
        os.write(self.master, text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    master, slave = os.openpty()
    with open(slave, encoding="utf-8", closefd=False) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        yield Terminal(master, slave)
    for end in (master, slave):
        os.close(end)


def test_a_pasted_answer_is_one_answer(
    call: Callable[..., int], database_url: str, owner: "psycopg.Connection", terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines that come at once are one line of the chat; a line that is no UTF-8 is left out and said; ^D ends it with 0."""
    terminal.types(b"/help\nand more\n\x04")
    assert call("chat", "--plain", "--name", "ann", DATABASE_URL=database_url) == 0
    assert owner.execute("select payload ->> 'text' from inbox where payload ->> 'kind' = 'text'").fetchall() == [("/help\nand more",)]
    terminal.types(b"\xff\xfe\n\x04")
    assert call("chat", "--plain", "--name", "ann") == 0
    assert "not valid UTF-8" in capsys.readouterr().out
