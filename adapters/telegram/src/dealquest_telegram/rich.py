"""A long `Text` as the blocks of rich messages, so that an analysis is one message instead of a dozen. No I/O.

Rules. A page holds at most `MAX_PAGE` UTF-16 units and 500 blocks. Paragraphs become paragraphs; `pre` and quotes become
blocks of their own; every other style goes on inside. Nothing is left out but the blank lines between paragraphs.
Source: https://core.telegram.org/bots/api#inputrichmessage and aiogram 3.31 `types` (Bot API 10.3), read 2026-11-22.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from dealquest.coach.dialogue import Text

from .render import Part, render

MAX_PAGE = 30_000  # of 32,768, since it is not documented what else counts
MAX_BLOCKS = 500

Entity: TypeAlias = dict[str, Any]

_BLANK = re.compile(r"\n[ \t]*\n\s*")
_INLINE = {"bold": "bold", "italic": "italic", "code": "code", "text_link": "url"}


@attrs.frozen
class Page:
    """One rich message."""

    blocks: list[Any]


def rich_pages(text: Text) -> list[Page]:
    r"""A text as the fewest rich messages; none where one of them would have too many blocks.

    >>> rich_pages(Text("One.\n\nTwo."))[0].blocks
    [{'type': 'paragraph', 'text': 'One.'}, {'type': 'paragraph', 'text': 'Two.'}]
    """
    pages = [Page(_to_blocks(part)) for part in render(text, limit=MAX_PAGE, most_entities=MAX_PAGE)]
    return pages if all(_count(page.blocks) <= MAX_BLOCKS for page in pages) else []


def _to_blocks(part: Part) -> list[Any]:
    data = part.text.encode("utf-16-le")
    return list(_blocks(data, 0, len(data) // 2, part.entities))


def _blocks(data: bytes, start: int, end: int, entities: Sequence[Entity]) -> Iterator[Any]:
    """The blocks of one stretch, in UTF-16 units; the entities are nested or apart, outer ones first."""
    at = start
    for place, entity in enumerate(entities):
        if entity["type"] not in {"pre", "blockquote"} or entity["offset"] < at:
            continue
        begin, stop = entity["offset"], entity["offset"] + entity["length"]
        yield from _paragraphs(data, at, begin, entities)
        if entity["type"] == "pre":
            yield {"type": "pre", "text": _cut(data, begin, stop)}
        else:
            yield {"type": "blockquote", "blocks": list(_blocks(data, begin, stop, _within(entities[place + 1 :], begin, stop)))}
        at = stop
    yield from _paragraphs(data, at, end, entities)


def _paragraphs(data: bytes, start: int, end: int, entities: Sequence[Entity]) -> Iterator[Any]:
    text = _cut(data, start, end)
    at = 0
    for blank in [*_BLANK.finditer(text), None]:
        stop = len(text) if blank is None else blank.start()
        if text[at:stop].strip():
            first = start + _units(text[:at])
            last = first + _units(text[at:stop])
            yield {"type": "paragraph", "text": _styled(data, first, last, _within(entities, first, last))}
        at = stop if blank is None else blank.end()


def _styled(data: bytes, start: int, end: int, entities: Sequence[Entity]) -> Any:
    pieces: list[Any] = []
    at = start
    for place, entity in enumerate(entities):
        begin, stop = max(entity["offset"], start), min(entity["offset"] + entity["length"], end)
        if begin < at or begin >= stop or entity["type"] not in _INLINE:
            continue
        if begin > at:
            pieces.append(_cut(data, at, begin))
        inner = _styled(data, begin, stop, _within(entities[place + 1 :], begin, stop))
        url = {"url": entity["url"]} if entity["type"] == "text_link" else {}
        pieces.append({"type": _INLINE[entity["type"]], "text": inner, **url})
        at = stop
    if at < end:
        pieces.append(_cut(data, at, end))
    return pieces[0] if len(pieces) == 1 else pieces


def _within(entities: Sequence[Entity], start: int, end: int) -> list[Entity]:
    return [entity for entity in entities if entity["offset"] < end and entity["offset"] + entity["length"] > start]


def _cut(data: bytes, start: int, end: int) -> str:
    return data[2 * start : 2 * end].decode("utf-16-le")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _count(blocks: Sequence[Any]) -> int:
    return sum(1 + _count(block.get("blocks", ())) for block in blocks)
