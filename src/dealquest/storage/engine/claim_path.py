"""Where a token's claims hold the role: a JSON Path, or PostgREST's own notation of before version 16.

Pure. A path is read once, when the engine starts, into functions from values to the values they select.
Source: RFC 9535; https://docs.postgrest.org/en/v16/references/auth.html, "JWT Role Extraction", and /v14/, read 2026-11-30.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from dealquest.errors import SettingsError
from dealquest.values import Json

Find: TypeAlias = Callable[[Json], Json]
# A selector takes the claims and one value of them, and gives the values it selects there.
_Select: TypeAlias = Callable[[Json, Json], Iterable[Json]]
_Test: TypeAlias = Callable[[Json, Json], bool]
_Value: TypeAlias = Callable[[Json, Json], Any]

_NOTHING: Any = object()
_BLANK = re.compile(r"[ \t\n\r]*")
_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][0-9A-Za-z_\u0080-\U0010ffff]*")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?(?:\s*:\s*(-?\d+)?)?")
_INDEX = re.compile(r"-?\d+")
_LITERAL = re.compile(r"true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_COMPARISON = re.compile(r"[=!]=|[<>]=?")
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

_OLD_STEP = re.compile(
    r"""\.(?P<name>[\w$@]+) | \."(?P<quoted>[^"]*)" | \["(?P<member>[^"]*)"\] | \['(?P<single>[^']*)'\] | \[(?P<index>-?\d+)\]
      | \[(?P<slice>-?\d*:-?\d*)\] | \[\?\s*\(?\s*@\s*(?P<operator>\^==|==\^|\*==|==|!=)\s*"(?P<operand>[^"]*)"\s*\)?\s*\]""",
    re.VERBOSE,
)
_OLD_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "^==": str.startswith,
    "==^": str.endswith,
    "*==": operator.contains,
}


def read_path(text: str) -> Find:
    """Read a path; what it selects first is the claim, None where it selects nothing.

    Raises:
        SettingsError: `engine.jwt.role_claim_key` when it is none.

    >>> read_path("$.app.roles[?search(@, '^wri')]")({"app": {"roles": ["reader", "writer"]}})
    'writer'
    """
    try:
        if text.startswith("$"):
            return _Reader(text).read()
        return _read_old(text)
    except (ValueError, re.error, msgspec.DecodeError) as exc:
        raise SettingsError(
            f"jwt-role-claim-key {text!r} is no path such as $.role or $.app.roles[0].", code="engine.jwt.role_claim_key"
        ) from exc


class _Reader:
    """Reads one JSON Path; `ValueError` where it is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1

    def read(self) -> Find:
        steps = self._segments()
        if self._at != len(self._text):
            raise ValueError(f"unreadable from {self._at} on")
        return lambda claims: next(iter(_walk(steps, claims, claims)), None)

    def _take(self, word: str) -> bool:
        self._at = self._blank()
        if not self._text.startswith(word, self._at):
            return False
        self._at += len(word)
        return True

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise ValueError(f"{word} expected at {self._at}")

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._blank())
        self._at = self._at if found is None else found.end()
        return found

    def _blank(self) -> int:
        found = _BLANK.match(self._text, self._at)
        assert found is not None, "it matches nothing too"
        return found.end()

    def _segments(self) -> Sequence[_Select]:
        steps: list[_Select] = []
        while True:
            if self._take(".."):
                steps += [_descend, self._bracket() if self._take("[") else self._member()]
            elif self._take("."):
                steps.append(self._member())
            elif self._take("["):
                steps.append(self._bracket())
            else:
                return steps

    def _member(self) -> _Select:
        if self._take("*"):
            return _all
        found = self._match(_NAME)
        if found is None:
            raise ValueError(f"a name expected at {self._at}")
        return _named(found[0])

    def _bracket(self) -> _Select:
        selectors = [self._selector()]
        while self._take(","):
            selectors.append(self._selector())
        self._need("]")
        return lambda root, here: [found for select in selectors for found in select(root, here)]

    def _selector(self) -> _Select:
        if self._take("*"):
            return _all
        if self._take("?"):
            test = self._any_of()
            return lambda root, here: [item for item in _all(root, here) if test(root, item)]
        quoted = self._string()
        if quoted is not None:
            return _named(quoted)
        span = self._match(_SLICE)
        if span is not None:
            first, last, step = (None if part is None else int(part) for part in span.groups())
            return lambda _, here: here[first:last:step] if isinstance(here, list) and step != 0 else ()
        found = self._match(_INDEX)
        if found is None:
            raise ValueError(f"a selector expected at {self._at}")
        place = int(found[0])
        return lambda _, here: here[place:][:1] if isinstance(here, list) and -len(here) <= place else ()

    def _string(self) -> str | None:
        found = self._match(_QUOTED)
        if found is None:
            return None
        if found[1] is None:
            return msgspec.json.decode(found[0], type=str)
        # As a JSON string: its own quote needs the backslash, the other one loses it.
        return msgspec.json.decode('"{}"'.format(re.sub(r'\\(.)|(")', _requote, found[1])), type=str)

    def _any_of(self) -> _Test:
        tests = [self._all_of()]
        while self._take("||"):
            tests.append(self._all_of())
        return lambda root, here: any(test(root, here) for test in tests)

    def _all_of(self) -> _Test:
        tests = [self._basic()]
        while self._take("&&"):
            tests.append(self._basic())
        return lambda root, here: all(test(root, here) for test in tests)

    def _basic(self) -> _Test:
        if self._take("!") and not self._text.startswith("=", self._at):
            refused = self._basic()
            return lambda root, here: not refused(root, here)
        if self._take("("):
            inner = self._any_of()
            self._need(")")
            return inner
        if self._take("search("):
            return self._search()
        is_query = self._text.startswith(("@", "$"), self._blank())
        left = self._value()
        sign = self._match(_COMPARISON)
        if sign is not None:
            right = self._value()
            return lambda root, here: _compare(sign[0], left(root, here), right(root, here))
        if not is_query:
            raise ValueError(f"a comparison expected at {self._at}")
        return lambda root, here: left(root, here) is not _NOTHING

    def _search(self) -> _Test:
        value = self._value()
        self._need(",")
        pattern = self._string()
        if pattern is None:
            raise ValueError(f"a pattern expected at {self._at}")
        self._need(")")
        wanted = re.compile(pattern)

        def test(root: Json, here: Json) -> bool:
            text = value(root, here)
            return isinstance(text, str) and wanted.search(text) is not None

        return test

    def _value(self) -> _Value:
        for mark in "@$":
            if self._take(mark):
                steps, whole = self._segments(), mark == "$"
                return lambda root, here: next(iter(_walk(steps, root, root if whole else here)), _NOTHING)
        text = self._string()
        if text is not None:
            return lambda _, __: text
        found = self._match(_LITERAL)
        if found is None:
            raise ValueError(f"a value expected at {self._at}")
        literal = msgspec.json.decode(found[0])
        return lambda _, __: literal


def _requote(found: re.Match[str]) -> str:
    if found[2]:
        return '\\"'
    return "'" if found[1] == "'" else found[0]


def _walk(steps: Sequence[_Select], root: Json, start: Json) -> Sequence[Json]:
    found: list[Json] = [start]
    for select in steps:
        found = [value for here in found for value in select(root, here)]
    return found


def _named(name: str) -> _Select:
    return lambda _, here: (here[name],) if isinstance(here, dict) and name in here else ()


def _all(_: Json, here: Json) -> Iterable[Json]:
    return here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()


def _descend(root: Json, here: Json) -> Iterator[Json]:
    """A value and everything inside it."""
    yield here
    for child in _all(root, here):
        yield from _descend(root, child)


def _compare(sign: str, left: Any, right: Any) -> bool:
    """Values of different types are never equal and have no order; neither has anything but numbers and text."""
    kinds = {_kind(left), _kind(right)}
    if sign in {"==", "!="}:
        return (len(kinds) == 1 and left == right) is (sign == "==")
    if kinds in ({"number"}, {"text"}):
        return _ORDERED[sign](left, right)
    return "=" in sign and len(kinds) == 1 and bool(left == right)


def _kind(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__


def _read_old(text: str) -> Find:
    """The notation of before version 16, without `$`."""
    steps, at = [], 0
    while at < len(text):
        step = _OLD_STEP.match(text, at)
        if step is None:
            raise ValueError(f"unreadable from {at} on")
        steps.append(step)
        at = step.end()
    return lambda claims: _walk_old(steps, claims)


def _walk_old(steps: Sequence[re.Match[str]], here: Any) -> Json:
    for step in steps:
        name = next((step[group] for group in ("name", "quoted", "member", "single") if step[group] is not None), None)
        if name is not None:
            here = here.get(name) if isinstance(here, dict) else None
        elif step["index"] is not None:
            place = int(step["index"])
            here = here[place] if isinstance(here, list) and -len(here) <= place < len(here) else None
        elif step["slice"] is not None:
            first, _, last = step["slice"].partition(":")
            here = here[int(first) if first else None : int(last) if last else None] if isinstance(here, str) else None
        else:
            items = [item for item in here if isinstance(item, str)] if isinstance(here, list) else []
            here = next((item for item in items if _OLD_COMPARISONS[step["operator"]](item, step["operand"])), None)
        if here is None:
            return None
    found: Json = here
    return found
