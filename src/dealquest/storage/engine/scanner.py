"""Reads a text from left to right: what stands at a place, and the error that names the place.

Knows no grammar; `grammar.py` has the rules.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from dealquest.errors import DealQuestError

from .errors import refuse

T = TypeVar("T")

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Refusal(Exception):  # noqa: N818  # control flow inside this file, never seen outside
    """The text does not follow the grammar at `at`."""

    def __init__(self, at: int, expecting: str) -> None:
        super().__init__(expecting)
        self.at = at
        self.expecting = expecting


class Scanner:
    """A text and how far it is read."""

    __slots__ = ("at", "max_depth", "text")

    def __init__(self, text: str, at: int = 0, *, max_depth: int = 64) -> None:
        self.text = text
        self.at = at
        self.max_depth = max_depth

    def skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise Refusal(self.at, f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def end(self, expecting: str = "end of input") -> None:
        if self.at < len(self.text):
            raise Refusal(self.at, expecting)

    def quoted(self) -> str | None:
        found = self.match(_QUOTED)
        return None if found is None else _UNESCAPE.sub(r"\1", found[1])


def parse_with(rule: Callable[[Scanner], T], text: str, label: str, *, shown: str | None = None) -> T:
    """Read a whole text by a rule.

    Args:
        rule: What to read.
        text: The text.
        label: What the text is, for the message: `select parameter`.
        shown: The text as the message quotes it.

    Raises:
        InputError: PGRST100 with the place and what was expected.
    """
    scanner = Scanner(text)
    try:
        found = rule(scanner)
        scanner.end()
    except Refusal as exc:
        raise _refuse(exc, text, label, shown) from exc
    return found


def _refuse(refusal: Refusal, text: str, label: str, shown: str | None) -> DealQuestError:
    at = refusal.at
    found = f'"{text[at]}"' if at < len(text) else "end of input"
    if at < len(text) and (text[at] == '"' or refusal.expecting.endswith("end of input")):
        found = f"'{text[at]}'"
    quoted = text if shown is None else shown
    return refuse(
        "PGRST100",
        f'"failed to parse {label} ({quoted})" (line 1, column {at + 1})',
        details=f"unexpected {found} expecting {refusal.expecting}",
    )
