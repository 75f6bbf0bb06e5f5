"""Say on which line of a TOML text each value begins.

Works on text that tomllib has accepted, so it needs no error handling of its own; it reads no values.
Source: https://toml.io/en/v1.0.0 (read 2026-11-22).

Rules: a header sets the prefix; `[[x]]` counts; a header below an array of tables means its last element;
a value is a string, an array, an inline table, or runs to the next `,`, `]`, `}`, comment or line end.
"""

import re
from collections.abc import Callable

import attrs

_KEY = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*""")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_BARE = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'[^']*'", re.DOTALL)
_LONG_STRING = re.compile(r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' + r"|'''.*?'''(?:'{0,2})", re.DOTALL)


def find_lines(text: str) -> dict[str, int]:
    r"""Map the path of every table and value to its line, counted from 1.

    Args:
        text: TOML that `tomllib.loads` accepts.

    >>> find_lines('a = 1\n[[b]]\nc = [\n  { d = 2 },\n]\n')
    {'a': 1, 'b[0]': 2, 'b[0].c': 3, 'b[0].c[0]': 4, 'b[0].c[0].d': 4}
    """
    scan = _Scan(text=text.replace("\r\n", "\n"))
    scan.document()
    return scan.lines


@attrs.define
class _Scan:
    text: str
    at: int = 0
    line: int = 1
    counted_to: int = 0
    lines: dict[str, int] = attrs.field(factory=dict)
    counts: dict[str, int] = attrs.field(factory=dict)

    def document(self) -> None:
        prefix = ""
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                prefix = self.header()
            else:
                self.pair(prefix)
            self.skip(_BLANK)

    def header(self) -> str:
        is_array = self.text.startswith("[[", self.at)
        line = self.line_here()
        self.at += 2 if is_array else 1
        keys = self.keys()
        self.at += 2 if is_array else 1
        path = ""
        for place, key in enumerate(keys):
            path = _join(path, key)
            if is_array and place == len(keys) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = f"{path}[{self.counts[path]}]"
        self.lines.setdefault(path, line)
        return path

    def pair(self, prefix: str) -> None:
        path = prefix
        line = self.line_here()
        for key in self.keys():
            path = _join(path, key)
            self.lines.setdefault(path, line)
        self.at += 1
        self.skip(_BLANK)
        self.value(path)

    def keys(self) -> list[str]:
        keys = []
        while (match := _KEY.match(self.text, self.at)) is not None:
            self.at = match.end()
            keys.append(next(part for part in match.groups() if part is not None))
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def value(self, path: str) -> None:
        self.lines.setdefault(path, self.line_here())
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self.inside("]", lambda index: self.value(f"{path}[{index}]"))
        elif opening == "{":
            self.inside("}", lambda _: self.pair(path))
        elif self.text.startswith(('"""', "'''"), self.at):
            self.skip(_LONG_STRING)
        elif opening in {'"', "'"}:
            self.skip(_STRING)
        else:
            self.skip(_BARE)

    def inside(self, closing: str, element: Callable[[int], None]) -> None:
        self.at += 1
        index = 0
        self.skip(_BLANK)
        while self.at < len(self.text) and not self.text.startswith(closing, self.at):
            element(index)
            index += 1
            self.skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
                self.skip(_BLANK)
        self.at += 1

    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match is not None else self.at + 1

    def line_here(self) -> int:
        self.line += self.text.count("\n", self.counted_to, self.at)
        self.counted_to = self.at
        return self.line


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
