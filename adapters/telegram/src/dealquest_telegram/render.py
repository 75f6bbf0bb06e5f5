"""A dialogue's `Text` as Bot API messages: entities in UTF-16 units, split where a reader would split. No I/O.

Rules. A part holds at most `limit` UTF-16 units and 100 entities. It ends at the last paragraph, else line, else
word that fits, if that fills a quarter of it; else between two grapheme clusters; blanks at the cut go, everything
else stays, in order. An entity that is open at a cut goes on in the next part. Entities come out nested or apart,
never crossing; nothing stands inside code, and quotes and links do not hold their own kind, as the Bot API demands.
It does not detect links or commands: Telegram does.
Source: https://core.telegram.org/bots/api#messageentity and #formatting-options, read 2026-11-22.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import attrs

from dealquest.coach.dialogue import Text

MAX_TEXT = 4096
MAX_CAPTION = 1024
MAX_ENTITIES = 100
LONGEST_CLUSTER = 64

_TYPES = {
    "bold": "bold",
    "italic": "italic",
    "code": "code",
    "pre": "pre",
    "quote": "blockquote",
    "link": "text_link",
}
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"\n")
_WORD = re.compile(r"[ \t]+")
_WEB_ADDRESS = re.compile(r"https?://[^\s\x00-\x20]+")
_HALF = re.compile("[\ud800-\udfff]")
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_ZERO_WIDTH_JOINER = "\u200d"


@attrs.frozen
class Stretch:
    """A style from `start` up to `end`, in characters."""

    style: str
    start: int
    end: int
    url: str | None = None


@attrs.frozen(kw_only=True)
class Part:
    """One message: its text, and entities as the Bot API spells them."""

    text: str
    entities: tuple[dict[str, Any], ...] = ()


def render(text: Text, *, limit: int = MAX_TEXT, most_entities: int = MAX_ENTITIES) -> list[Part]:
    """Turn a text into the fewest messages that hold it whole.

    Args:
        text: What to say; lone surrogates are replaced, they cannot travel.
        limit: Most UTF-16 units of a part, at least 64.
        most_entities: Most entities of a part.

    Returns:
        Parts in order; none when the text is blank.

    >>> from dealquest.coach.dialogue import Span
    >>> render(Text("Hi 😀 Ann", (Span(style="bold", offset=5, length=3),)))[0].entities
    ({'type': 'bold', 'offset': 6, 'length': 3},)
    """
    plain = _HALF.sub("\ufffd", text.plain)
    spans = untangle([Stretch(span.style, span.offset, span.offset + span.length, span.url) for span in text.spans], len(plain))
    starts = [span.start for span in spans]
    # Where each character stands in UTF-16 units: for most texts that is its own number.
    wide = _WIDE.search(plain) is not None
    places: Sequence[int] = [0, *accumulate(1 if mark <= "\uffff" else 2 for mark in plain)] if wide else range(len(plain) + 1)
    parts: list[Part] = []
    carried: list[Stretch] = []  # begun before this part and still open
    arriving = 0
    start = _skip(plain, 0, spans)
    while start < len(plain):
        furthest = bisect_right(places, places[start] + limit) - 1
        inside = carried + spans[arriving : bisect_left(starts, furthest)]
        if len(inside) > most_entities:
            furthest = max(inside[most_entities].start, start + 1)
        end = furthest if furthest == len(plain) else _best_cut(plain, start, furthest)
        kept = start + len(plain[start:end].rstrip())
        if kept > start:
            shown = [span for span in inside if span.start < kept and span.end > start]
            entities = tuple(_entity(span, max(span.start, start), min(span.end, kept), places, places[start]) for span in shown)
            parts.append(Part(text=plain[start:kept], entities=entities))
        start = _skip(plain, end, inside)
        begun = bisect_left(starts, start)
        carried = [span for span in carried + spans[arriving:begun] if span.end > start]
        arriving = begun
    return parts


def untangle(spans: Sequence[Stretch], size: int) -> list[Stretch]:
    """Make spans nested or apart, outer ones first, with only what the Bot API lets stand together.

    Where kinds cannot share a place, `pre` wins over `code`, code over every style and link, the earlier link or quote over the later.

    >>> untangle([Stretch("bold", 0, 4), Stretch("italic", 2, 6)], 6)[1:]
    [Stretch(style='italic', start=2, end=4, url=None), Stretch(style='italic', start=4, end=6, url=None)]
    """
    clipped = [attrs.evolve(span, start=max(span.start, 0), end=min(span.end, size)) for span in spans if _sendable(span)]
    ordered = sorted((span for span in clipped if span.start < span.end), key=lambda span: (span.start, -span.end))
    borders = sorted({place for span in ordered for place in (span.start, span.end)})
    open_spans: list[tuple[int, int]] = []  # (index into ordered, where it began), outer ones first
    found: list[Stretch] = []
    arriving = 0
    active: list[int] = []
    for place in borders:
        active = [index for index in active if ordered[index].end > place]
        while arriving < len(ordered) and ordered[arriving].start == place:
            active.append(arriving)
            arriving += 1
        wanted = _allowed(active, ordered)
        # Close down to the first one that must end here; what was above it and stays is opened anew.
        keep = 0
        while keep < len(open_spans) and open_spans[keep][0] in wanted:
            keep += 1
        found.extend(attrs.evolve(ordered[index], start=began, end=place) for index, began in open_spans[keep:])
        del open_spans[keep:]
        still_open = {index for index, _ in open_spans}
        fresh = sorted((index for index in wanted if index not in still_open), key=lambda index: (-ordered[index].end, index))
        open_spans.extend((index, place) for index in fresh)
    return sorted(found, key=lambda span: (span.start, -span.end))


def _sendable(span: Stretch) -> bool:
    """Known kinds; links to the web only, since `tg:` and its kin act inside the app."""
    return span.style in _TYPES and (span.style != "link" or _WEB_ADDRESS.fullmatch(span.url or "") is not None)


def _allowed(active: list[int], spans: list[Stretch]) -> set[int]:
    quote = next((index for index in active if spans[index].style == "quote"), None)
    kept: set[int] = set() if quote is None else {quote}
    for kind in ("pre", "code"):
        code = next((index for index in active if spans[index].style == kind), None)
        if code is not None:
            return {*kept, code}
    seen: set[str] = {"quote"}
    for index in active:
        if spans[index].style not in seen:
            seen.add(spans[index].style)
            kept.add(index)
    return kept


def _entity(span: Stretch, start: int, end: int, places: Sequence[int], origin: int) -> dict[str, Any]:
    entity: dict[str, Any] = {"type": _TYPES[span.style], "offset": places[start] - origin, "length": places[end] - places[start]}
    if span.style == "link":
        entity["url"] = span.url
    return entity


def _skip(text: str, place: int, spans: list[Stretch]) -> int:
    """Step over blanks that Telegram would trim; in `pre` only over line ends, its indentation counts."""
    blanks = "\n\r" if any(span.style == "pre" and span.start <= place < span.end for span in spans) else None
    return len(text) - len(text[place:].lstrip(blanks))


def _best_cut(text: str, start: int, end: int) -> int:
    least = max(start + 1, start + (end - start) // 4)
    window = text[least : end + 1]
    for pattern in (_PARAGRAPH, _LINE, _WORD):
        places = [found.start() for found in pattern.finditer(window)]
        if places:
            return min(least + places[-1], end)
    return _cluster_cut(text, start, end)


def _cluster_cut(text: str, start: int, end: int) -> int:
    for cut in range(end, max(start, end - LONGEST_CLUSTER), -1):
        if not _joined(text, cut):
            return cut
    return end


def _joined(text: str, cut: int) -> bool:
    """Whether the characters on both sides of a place belong to one grapheme cluster."""
    before, after = text[cut - 1], text[cut]
    if _ZERO_WIDTH_JOINER in {before, after} or unicodedata.category(after) in {"Mn", "Me", "Mc"}:
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f" or "\u1160" <= after <= "\u11ff":
        return True
    if before == "\r" and after == "\n":
        return True
    if not _is_flag_half(after):
        return False
    run = cut
    while run > 0 and _is_flag_half(text[run - 1]) and cut - run < LONGEST_CLUSTER:
        run -= 1
    return (cut - run) % 2 == 1


def _is_flag_half(mark: str) -> bool:
    return "\U0001f1e6" <= mark <= "\U0001f1ff"
