"""How replies look: boxes and styles for a person at a terminal, bare lines for everything else, and nothing that steers either."""

import io
import os
from collections.abc import Iterator
from typing import TextIO

import pytest
from rich.console import Console

from dealquest.cli.terminal import PlainFace, RichFace, choose_face
from dealquest.coach.dialogue import Button, Reply, Span, Text

REPLY = Reply(
    text=Text("Two \x1b[2Jwords: bold", (Span(style="bold", offset=15, length=4),)),
    buttons=((Button("Go \u202eon", "go"), Button("Stop", "stop")), (Button("Later", "later"),)),
)


def drawn(reply: Reply, *, first_button: int = 1, note: str | None = None) -> str:
    """What a terminal with colours is sent."""
    out = io.StringIO()
    face = RichFace(Console(file=out, force_terminal=True, color_system="truecolor", width=60))
    face.show(reply, first_button=first_button)
    if note is not None:
        face.note(note)
    return out.getvalue()


def test_a_reply_is_a_box_with_its_styles_and_numbered_buttons() -> None:
    """The span lies on its word although what could steer the terminal was taken out before it, and so do the labels."""
    seen = drawn(REPLY, first_button=4)
    assert "\x1b[1mbold\x1b[0m" in seen
    assert "\x1b[2J" not in seen
    assert "\u202e" not in seen
    assert [seen.index(f" {number} ") for number in (4, 5, 6)] == sorted(seen.index(f" {number} ") for number in (4, 5, 6))
    assert "Go on" in seen
    assert seen.startswith("\x1b[2m\N{BOX DRAWINGS LIGHT ARC DOWN AND RIGHT}")


def test_a_reply_without_buttons_has_no_line_for_them() -> None:
    """The box is followed by one empty line only."""
    assert drawn(Reply(text=Text("Fine."))).endswith("\N{BOX DRAWINGS LIGHT ARC UP AND RIGHT}" + "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 58
                                                     + "\N{BOX DRAWINGS LIGHT ARC UP AND LEFT}\x1b[0m\n\n")  # fmt: skip


def test_a_note_is_dim_and_steers_nothing() -> None:
    """A hint or a failure is told apart from what the coach says."""
    assert "\x1b[2ma[31mb\x1b[0m" in drawn(Reply(text=Text("x")), note="a\x1b[31mb")


def test_plain_is_text_alone() -> None:
    """No escape sequence, no box, no blank before the end of a line; a button each line with its number."""
    out = io.StringIO()
    face = PlainFace(out)
    face.show(Reply(text=Text("one  \ntwo"), buttons=REPLY.buttons), first_button=2)
    face.note("a\x1bb")
    assert out.getvalue() == "one\ntwo\n  [2] Go on\n  [3] Stop\n  [4] Later\n\nab\n"


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as out:  # noqa: PTH123  # a descriptor has no path
        yield out
    os.close(master)


@pytest.mark.parametrize(("columns", "plain", "face"), [(80, False, RichFace), (80, True, PlainFace), (10, False, PlainFace)])
def test_boxes_are_for_a_terminal_with_room(terminal: TextIO, columns: int, plain: bool, face: type) -> None:
    """A pipe, a narrow window and `--plain` get bare lines."""
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    assert type(choose_face(terminal, plain=plain)) is face
    assert type(choose_face(io.StringIO(), plain=plain)) is PlainFace
