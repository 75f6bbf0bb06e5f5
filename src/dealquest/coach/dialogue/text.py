"""Text with styles as data: plain characters plus spans, so that nothing ever needs escaping.

Templates of the catalogue carry a little markup of ours (`*bold*`, `_italic_`, a back-quoted `code`); values
are put in after the markup was read, so what a user or a model wrote can never style or break a reply.
Does not know how a terminal or Telegram draws it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import attrs

Style: TypeAlias = Literal["bold", "italic", "code", "pre", "quote", "link"]

_MARKUP = re.compile(r"\*(?P<bold>[^*\n]+)\*|(?<![\w{])_(?P<italic>[^_\n]+)_(?!\w)|`(?P<code>[^`\n]+)`")
_SLOT = re.compile(r"\{([a-z_]+)\}")


@attrs.frozen(kw_only=True)
class Span:
    """A style over `length` characters from `offset` (Python characters, not UTF-16 units)."""

    style: Style
    offset: int
    length: int
    url: str | None = None


@attrs.frozen
class Text:
    """Characters and the spans that style them; `+` joins two texts.

    >>> (Text("a ") + styled("b", "bold")).spans
    (Span(style='bold', offset=2, length=1, url=None),)
    """

    plain: str = ""
    spans: tuple[Span, ...] = ()

    def __add__(self, other: "Text | str") -> "Text":
        """Both texts, one after the other."""
        if isinstance(other, str):
            return Text(self.plain + other, self.spans)
        moved = tuple(attrs.evolve(span, offset=span.offset + len(self.plain)) for span in other.spans)
        return Text(self.plain + other.plain, self.spans + moved)

    def __str__(self) -> str:
        return self.plain

    def __bool__(self) -> bool:
        return bool(self.plain)


def styled(plain: str, style: Style, *, url: str | None = None) -> Text:
    """One styled piece; an empty text has no span."""
    return Text(plain, (Span(style=style, offset=0, length=len(plain), url=url),) if plain else ())


def join(parts: Iterable[Text | str], separator: str = "\n") -> Text:
    """The parts with a separator between them; empty parts are left out."""
    whole = Text()
    for part in parts:
        if not part:
            continue
        whole = (whole + separator + part) if whole else whole + part
    return whole


def fill(template: str, values: Mapping[str, "Text | str | int | float"]) -> Text:
    """A catalogue template with its values.

    >>> fill("*{name}* scored _{score}_", {"name": "*Ann*", "score": 7}).plain
    '*Ann* scored 7'

    Raises:
        KeyError: When the template names a value that was not given.
    """
    whole = Text()
    position = 0
    for match in _MARKUP.finditer(template):
        whole = whole + _slots(template[position : match.start()], values)
        style = match.lastgroup
        inner = _slots(match.group(style or 0), values)
        span = Span(style=style, offset=0, length=len(inner.plain))  # type: ignore[arg-type]  # the groups are named after styles
        whole = whole + Text(inner.plain, (span, *inner.spans) if inner.plain else ())
        position = match.end()
    return whole + _slots(template[position:], values)


def _slots(template: str, values: Mapping[str, Text | str | int | float]) -> Text:
    whole = Text()
    position = 0
    for match in _SLOT.finditer(template):
        value = values[match.group(1)]
        whole = whole + template[position : match.start()] + (value if isinstance(value, Text) else str(value))
        position = match.end()
    return whole + template[position:]
