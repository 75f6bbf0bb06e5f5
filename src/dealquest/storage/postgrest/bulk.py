"""More than one request holds: rows packed into bodies by count and size, long `in` lists cut to what a URL takes. Pure.

Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html#bulk-insert, read 2026-11-22.
"""

from collections.abc import Iterable, Iterator, Sequence

import attrs

from .ast import Embed, Filter, Read, SelectItem
from .dialects import Dialect
from .literals import as_mapping, encode_rows
from .render import encode_query, quote_text, render


@attrs.frozen(kw_only=True)
class Chunk:
    """Rows that travel in one body.

    Attributes:
        count: How many.
        content: The JSON array.
        columns: Every column where the rows differ in theirs, else None.
    """

    count: int
    content: bytes
    columns: tuple[str, ...] | None


def pack_rows(rows: Iterable[object], *, max_rows: int, max_bytes: int, even: bool = False, doubles: bool = False) -> Iterator[Chunk]:
    """Pack rows in order; a row larger than `max_bytes` travels alone. The source may be endless: it is read as needed.

    Args:
        rows: Mappings or row objects.
        max_rows: Most rows in a chunk.
        max_bytes: Most bytes in a chunk.
        even: Whether a chunk ends where the columns change.
        doubles: As in `encode_json`.

    >>> [chunk.content for chunk in pack_rows([{"a": 1}, {"a": 2}, {"a": 3}], max_rows=2, max_bytes=100)]
    [b'[{"a":1},{"a":2}]', b'[{"a":3}]']
    """
    encoded: list[bytes] = []
    names: dict[str, None] = {}
    alike = True
    size = 2
    for row in rows:
        columns = as_mapping(row)
        text = encode_rows([columns], doubles=doubles)[1:-1]
        differs = bool(encoded) and names.keys() != columns.keys()
        if encoded and (len(encoded) >= max_rows or size + len(text) + 1 > max_bytes or (even and differs)):
            yield _pack(encoded, names, alike=alike)
            encoded, names, alike, size, differs = [], {}, True, 2, False
        alike = alike and not differs
        names.update(dict.fromkeys(columns))
        encoded.append(text)
        size += len(text) + 1
    if encoded:
        yield _pack(encoded, names, alike=alike)


def _pack(encoded: Sequence[bytes], names: Iterable[str], *, alike: bool) -> Chunk:
    return Chunk(count=len(encoded), content=b"[" + b",".join(encoded) + b"]", columns=None if alike else tuple(names))


def split_read(read: Read, dialect: Dialect) -> list[Read]:
    """Cut a read whose URL is too long into several whose answers together are its answer.

    That is possible where one `in` list holds most of it and nothing spans rows: no order, limit, offset or
    aggregate. Otherwise the read comes back alone, and sending it says why it is too long.

    Args:
        read: Any read.
        dialect: Says how long a URL may be.
    """
    room = dialect.max_url_bytes
    lists = [found for found in read.where if isinstance(found, Filter) and found.operator == "in" and not found.negated]
    # Only a list makes an honest URL too long; rendering every read twice to find out would cost all of them.
    if not lists or len(render(read, dialect).url) <= room:
        return [read]
    spans_rows = read.order or read.limit is not None or read.offset is not None or _aggregates(read.select)
    if spans_rows:
        return [read]
    longest = max(lists, key=lambda found: len(found.value))
    place = read.where.index(longest)
    left = room - len(render(_with_list(read, place, longest, []), dialect).url)
    parts: list[list[str]] = [[]]
    used = 0
    for value in longest.value:
        cost = len(encode_query([("", quote_text(value) + ",")])) - 1
        if parts[-1] and used + cost > left:
            parts.append([])
            used = 0
        parts[-1].append(value)
        used += cost
    return [_with_list(read, place, longest, part) for part in parts]


def _with_list(read: Read, place: int, condition: Filter, values: list[str]) -> Read:
    # One empty text alone would read as the empty list.
    shorter = attrs.evolve(condition, value=("", "") if values == [""] else tuple(values))
    return attrs.evolve(read, where=(*read.where[:place], shorter, *read.where[place + 1 :]))


def _aggregates(select: Sequence[SelectItem]) -> bool:
    """Whether a column of the root, or one spread into it, sums rows up."""
    return any((item.spread and _aggregates(item.select)) if isinstance(item, Embed) else item.aggregate is not None for item in select)
