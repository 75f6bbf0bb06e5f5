"""Replies in a terminal: with rich where a person reads, plain where a program does."""

import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from dealquest.coach.dialogue import Button, Reply, Span

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 88
_RICH_STYLES = {"bold": "bold", "italic": "italic", "code": "cyan", "pre": "cyan", "quote": "italic", "link": "underline"}
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they reorder what stands beside them
_BLANK = re.compile(r"[ \t]+\n")


class Face(Protocol):
    """How replies are shown."""

    def show(self, reply: Reply, *, first_button: int) -> None:
        """Show one reply; its buttons are numbered from `first_button`."""
        ...

    def note(self, text: str) -> None:
        """Show a line that is no reply: a hint, a failure."""
        ...

    @property
    def prompt(self) -> str:
        """What stands before the user's own line."""
        ...


class PlainFace:
    """Text alone: no colour, no box, no cursor movement."""

    prompt = "> "

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, reply: Reply, *, first_button: int) -> None:
        """Print the text, then the buttons, a line each."""
        self._print(_BLANK.sub("\n", printable(reply.text.plain)))
        for number, button in enumerate(buttons_of([reply]), first_button):
            self._print(f"  [{number}] {printable(button.label)}")
        self._print("")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(printable(text))

    def _print(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


class RichFace:
    """Boxes and styles; rich obeys NO_COLOR and the terminal's width by itself."""

    prompt = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console  # an extra, and slow enough to load late

        self._console = console or Console(width=min(shutil.get_terminal_size((80, 24)).columns, _WIDEST), highlight=False, soft_wrap=False)

    def show(self, reply: Reply, *, first_button: int) -> None:
        """A box with the text, and the numbered buttons below it."""
        from rich import box
        from rich.panel import Panel
        from rich.text import Text

        text = Text(printable(reply.text.plain))
        for span in reply.text.spans:
            text.stylize(_RICH_STYLES[span.style], *_cells(reply.text.plain, span))
        self._console.print(Panel(text, box=box.ROUNDED, border_style="dim", padding=(0, 1)))
        line = Text()
        for number, button in enumerate(buttons_of([reply]), first_button):
            line.append(f" {number} ", style="reverse").append(f" {printable(button.label)}   ")
        if line:
            self._console.print(line)
        self._console.print()

    def note(self, text: str) -> None:
        """A dim line."""
        from rich.text import Text

        self._console.print(Text(printable(text), style="dim"))


def choose_face(out: TextIO, *, plain: bool) -> Face:
    """Rich for a person at a terminal, plain for everything else."""
    if plain or not out.isatty() or os.get_terminal_size(out.fileno()).columns < 20:
        return PlainFace(out)
    return RichFace()


def buttons_of(replies: Sequence[Reply]) -> list[Button]:
    """All buttons in the order they are numbered."""
    return [button for reply in replies for row in reply.buttons for button in row]


def printable(text: str) -> str:
    r"""The text without anything that could steer a terminal.

    >>> printable("a\x1b[2Jb\nc")
    'a[2Jb\nc'
    """
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in {"Cc", "Cs"} and c not in _DIRECTIONS))


def _cells(plain: str, span: Span) -> tuple[int, int]:
    """A span's place after `printable` took characters out."""
    begin = len(printable(plain[: span.offset]))
    return begin, begin + len(printable(plain[span.offset : span.offset + span.length]))
